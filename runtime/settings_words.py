"""What is wrong with a holdfast.toml, in words a person can act on."""

from __future__ import annotations

import difflib
import json
from typing import Any

from pydantic import BaseModel, ValidationError


def in_words(error: ValidationError, model: type[BaseModel]) -> str:
    """The first fault: the key, the value found and the remedy."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or "the file"
    if first["type"] == "extra_forbidden":
        return _unknown_key(first["loc"], place, model)
    if first["type"] == "missing":
        return f"'{place}' is missing; add it"
    found = first.get("input")
    if first["type"] == "tuple_type":
        inner = json.dumps(found) if isinstance(found, str) else "..."
        return f"{place}: is a list; write {place.rpartition('.')[2]} = [{inner}] (found {found!r})"
    shown = "" if isinstance(found, dict | BaseModel) else f" (found {found!r})"
    return f"{place}: {first['msg'].removeprefix('Value error, ')}{shown}"


def _unknown_key(location: tuple[str | int, ...], place: str, model: type[BaseModel]) -> str:
    known = _known_keys(location[:-1], model)
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"unknown key '{place}'{hint} known here: {', '.join(known)}"


def _known_keys(section: tuple[str | int, ...], model: type[BaseModel]) -> list[str]:
    for part in section:
        if isinstance(part, str):
            model = _model_in(model.model_fields[part].annotation) or model
    return sorted(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if found := _model_in(inner):
            return found
    return None
