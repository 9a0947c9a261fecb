"""Whether a file's first line names its columns, and which of them it leaves out."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from events.money import as_plain
from events.sniff import usual_fields

ROW_NUMBER = "column_1"  # of a first column without a name


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """No where some field of the first line is a number or a time."""
    return not rows or not any(_is_data(field.strip()) for field in rows[0])


def all_names(rows: Sequence[Sequence[str]]) -> tuple[str, ...] | None:
    """Where a header names fewer columns than the rows have: those that it leaves out are the last,
    or the first alone, where that counts the rows. None where it names all, or where the second
    line is no data either: then the first is a title."""
    fields = usual_fields(rows)
    if not rows or len(rows[0]) >= fields or has_header(rows[1:]):
        return None
    named = [name.strip() or f"column_{i}" for i, name in enumerate(rows[0], 1)]
    first = [row[0] for row in rows[1:]]
    if fields == len(named) + 1 and first == [str(i) for i in range(1, len(rows))]:
        return (ROW_NUMBER, *named)
    return (*named, *(f"column_{i}" for i in range(len(named) + 1, fields + 1)))


def _is_data(field: str) -> bool:
    field = as_plain(pl.Series([field])).item()
    if re.fullmatch(r"[+-]?[\d.,]*\d[\d.,]*", field):
        return True
    return bool(re.match(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}", field))
