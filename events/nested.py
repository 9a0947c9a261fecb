"""Objects in a column as columns of their own: `properties.price` of `properties`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from events.batches import Batch
from events.ndjson_reader import parse_objects, refused
from runtime.errors import SchemaError

JOINT = "."


def unnested(batches: Iterator[Batch], names: Sequence[str]) -> Iterator[Batch]:
    """Raises SchemaError where a field is called as a column that is there already."""
    for batch in batches:
        rows = batch.rows
        for name in names:
            if name in rows.columns and rows.height:
                rows = _opened(rows, name)
        yield Batch(rows, batch.lines, batch.rejects)


def _opened(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """The fields in the place of the column; a text that is no JSON object stays in it."""
    column = rows[name]
    if column.dtype == pl.String():
        column, rest = _read(column)
    else:
        rest = None
    if not isinstance(column.dtype, pl.Struct):
        return rows
    fields = column.struct.unnest().rename(lambda field: f"{name}{JOINT}{field}")
    if taken := set(fields.columns) & set(rows.columns):
        raise SchemaError(
            f"unnest: '{name}' has a field for the column '{min(taken)}', which is there already; "
            f"leave '{name}' out"
        )
    place = rows.get_column_index(name)
    kept = [] if rest is None or rest.null_count() == len(rest) else [rest]
    before, after = rows.get_columns()[:place], rows.get_columns()[place + 1 :]
    return pl.DataFrame([*before, *fields.get_columns(), *kept, *after])


def _read(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The objects as a struct of texts, and what is none."""
    text = column.str.replace_all("[\\r\\n]", " ").fill_null("{}")
    objects = text.str.starts_with("{")
    found = parse_objects(_lines(text, objects))
    if found is None:
        bad = refused([line.encode() for line in text], list(objects.arg_true()))
        objects = objects & ~pl.int_range(len(text), eager=True).is_in(bad)
        found = parse_objects(_lines(text, objects))
    assert found is not None
    struct = found.to_struct(column.name) if found.width else column
    return struct, column.set(objects, None)


def _lines(text: pl.Series, objects: pl.Series) -> bytes:
    return "\n".join(text.set(~objects, "{}")).encode()
