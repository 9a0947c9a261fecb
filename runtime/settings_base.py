"""What every section of holdfast.toml is made of."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("is not a time zone; write one like 'UTC' or 'Europe/Berlin'")
    return name


def _known_format(text: str) -> str:
    if "%" in text or text in ("auto", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns"):
        return text
    units = "weeks|days|hours|minutes|seconds|milliseconds"
    since = re.fullmatch(rf"(?:{units}) since (\d{{4}}-\d{{2}}-\d{{2}})", text)
    try:
        date.fromisoformat(since[1] if since else "")
    except ValueError:
        raise ValueError(
            "is no time format; write 'auto', 'epoch_s', 'epoch_ms', 'epoch_us', a pattern like "
            "'%Y-%m-%d %H:%M', or 'days since 2024-01-01' for numbers of days"
        ) from None
    return text


def _known_encoding(name: str) -> str:
    try:
        "a".encode(name)
    except (LookupError, UnicodeError):
        raise ValueError(
            "is no encoding of text; write one like 'utf-8', 'windows-1252' or 'utf-16'"
        ) from None
    return name


Encoding = Annotated[str, AfterValidator(_known_encoding)]
TimeFormat = Annotated[str, AfterValidator(_known_format)]
Zone = Annotated[str, AfterValidator(_known_zone)]
Days = Annotated[int, Field(ge=1, le=3650)]
ModelName = Literal[
    "auto", "xgboost", "forest", "logistic", "sequence", "buying", "two-part", "ziln", "quantile"
]


class Section(BaseModel):
    """Frozen; an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
