"""What a table can be broken down by: a column of the log, a property, an attribute of the user."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal

import polars as pl

from runtime.collect import collect
from runtime.device import Device
from runtime.settings import Settings

CPU = Device("cpu", "a look at the log")
_VALUE = r'":"(?:[^"\\]|\\.)*"'
_KEY = re.compile(r'"((?:[^"\\]|\\.)*)":')

COLUMNS = ("channel", "source", "event")


@dataclass(frozen=True)
class Dimension:
    """`column` and `property` are told by an event, `attribute` by the users table."""

    name: str
    kind: Literal["column", "property", "attribute"]


def dimension_of(name: str, settings: Settings) -> Dimension:
    """What a name stands for, in this order: `channel`, `source` or `event` of the log, an
    attribute of `[users]`, else a property of events. "property:NAME" is a property whatever
    else is called so."""
    if name.startswith("property:"):
        return Dimension(name.removeprefix("property:"), "property")
    if name in COLUMNS:
        return Dimension(name, "column")
    if settings.users is not None and name in settings.users.attributes:
        return Dimension(name, "attribute")
    return Dimension(name, "property")


def told_by_event(dimension: Dimension) -> pl.Expr:
    """The value on a row of the log, as text; null where it has none.

    Properties are kept as text in one JSON object a row; see `events.columns.as_json_object`.
    """
    if dimension.kind == "column":
        return pl.col(dimension.name)
    if dimension.kind == "attribute":
        raise ValueError(f"'{dimension.name}' is told by the users table, not by an event")
    return pl.col("properties").str.json_path_match(json_path(dimension.name))


def json_path(name: str) -> str:
    """A key of an object as a path, whatever characters it has."""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'$["{quoted}"]'


def names_in(events: pl.LazyFrame) -> dict[str, int]:
    """Of rows with properties: how many have each."""
    keys = pl.col("properties").str.replace_all(_VALUE, '":')
    shapes = collect(events.group_by(keys=keys).agg(rows=pl.len()), CPU)
    counts: dict[str, int] = {}
    for shape, count in shapes.iter_rows():
        for key in _KEY.findall(shape):
            name = str(json.loads(f'"{key}"'))
            counts[name] = counts.get(name, 0) + count
    return counts
