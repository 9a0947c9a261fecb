"""What every section of holdfast.toml is made of."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("is not a time zone; write one like 'UTC' or 'Europe/Berlin'")
    return name


Zone = Annotated[str, AfterValidator(_known_zone)]
Days = Annotated[int, Field(ge=1, le=3650)]
ModelName = Literal[
    "auto", "xgboost", "forest", "logistic", "sequence", "buying", "two-part", "ziln", "quantile"
]


class Section(BaseModel):
    """Frozen; an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
