"""Whether a model may score: it has not seen the future, and means by churn what we mean."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from events.users import scan_users
from features.definitions import Definitions
from runtime.clock import show
from runtime.errors import ModelError
from runtime.settings import Settings
from training.model import Model
from training.runs import RunInfo


def require_fit(model: Model, run: RunInfo, as_of: datetime, settings: Settings) -> None:
    """Raises ModelError."""
    if model.as_of > as_of:
        raise ModelError(
            f"model {run}: trained as of {show(model.as_of)}, it has seen what happened after "
            f"{show(as_of)}; name an older run with --model, or train with --as-of {show(as_of)}"
        )
    theirs, ours = model.spec.definitions.to_dict(), Definitions.of(settings).to_dict()
    for key, his, mine in _differences(theirs, ours):
        raise ModelError(
            f"model {run}: trained with {key} = {his!r}, holdfast.toml says {mine!r}; train "
            "again, or name another run with --model"
        )
    _require_users(model, run, settings)


def _differences(theirs: Any, ours: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for name in sorted(theirs.keys() | ours.keys()):
            inner = f"{key}.{name}" if key else name
            yield from _differences(theirs.get(name), ours.get(name), inner)
    elif theirs != ours:
        yield key, theirs, ours


def _require_users(model: Model, run: RunInfo, settings: Settings) -> None:
    """That the users table has the columns that the model's features and definitions read."""
    needed = {attribute.name for attribute in model.spec.attributes}
    if (date := model.spec.definitions.churn.date_column) is not None:
        needed.add(date)
    users = scan_users(settings)
    missing = sorted(needed - set(users.collect_schema().names() if users is not None else ()))
    if missing:
        raise ModelError(
            f"model {run}: reads '{missing[0]}' of the users table, which is not in the store; "
            "list it under [users] and ingest, or train again"
        )
