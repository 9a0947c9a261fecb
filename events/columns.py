"""Columns of any source type as the types of the event contract, value by value exact."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from functools import partial

import polars as pl

from events.money import as_plain
from events.time_of_day import parse_clock
from events.timestamps import TIME, in_zone, parse_times
from runtime.errors import SchemaError

SPACES = " \t\r\n"
EXACT_FLOAT = 2**53  # above it not every whole number is a float: ids have lost digits
_ESCAPED = r'["\\\x00-\x1f]'  # in JSON
_GROUPED = {".": r"^[+-]?\d{1,3}(,\d{3})+(\.\d*)?$", ",": r"^[+-]?\d{1,3}(\.\d{3})+(,\d*)?$"}


def no_column(called: str, column: str, found: Sequence[str], section: str) -> SchemaError:
    near = difflib.get_close_matches(column, found, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    names = ", ".join(f"'{name}'" for name in found) or "no column"
    return SchemaError(
        f"{called}: no column '{column}'{hint}; found {names}; map it under [{section}]"
    )


def require(
    called: str, wanted: Iterable[str], found: Sequence[str], section: str = "source.columns"
) -> None:
    """Raises SchemaError for the first column that is not there."""
    for column in wanted:
        if column not in found:
            raise no_column(called, column, found, section)


def nulled(rows: pl.DataFrame, null_values: Sequence[str]) -> pl.DataFrame:
    """Text that stands for 'none' as null, in every text column: where "" does, spaces do too."""
    texts = [name for name, dtype in rows.schema.items() if dtype == pl.String()]
    if not null_values or not texts or not rows.height:
        return rows
    stands_for_none = {name: _is_one_of(pl.col(name), null_values) for name in texts}
    if "" in null_values:
        for name in _with_blanks(rows, texts):
            stands_for_none[name] |= pl.col(name).str.strip_chars(SPACES) == ""
    seen = rows.select(found.any().alias(name) for name, found in stands_for_none.items())
    return rows.with_columns(
        pl.when(~stands_for_none[name]).then(pl.col(name)).alias(name)
        for name, some in seen.row(0, named=True).items()
        if some
    )


def _with_blanks(rows: pl.DataFrame, texts: Sequence[str]) -> list[str]:
    """Columns of which a text may be spaces alone: a comparison is a tenth of stripping them."""
    may_be = (((pl.col(name) > "") & (pl.col(name) < "!")).any() for name in texts)
    return [name for name, some in rows.select(may_be).row(0, named=True).items() if some]


def _is_one_of(text: pl.Expr, values: Sequence[str]) -> pl.Expr:
    """As `is_in`, and for the usual one value four times as fast."""
    return text == values[0] if len(values) == 1 else text.is_in(list(values))


def as_text(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column as text: integers and decimals exact, whole floats without a point, nested
    values and bytes as JSON."""
    column = pl.col(name)
    if dtype == pl.String():
        return column
    if dtype.is_float():
        whole = (column == column.round()) & (column.abs() <= EXACT_FLOAT)
        integer = pl.when(whole).then(column).cast(pl.Int64(), strict=False).cast(pl.String())
        return pl.coalesce(integer, pl.when(column.is_not_nan()).then(column).cast(pl.String()))
    if dtype.is_nested():
        quoted = pl.struct(column.alias("")).struct.json_encode()
        text = quoted.str.strip_prefix('{"":').str.strip_suffix("}")
        return pl.when(column.is_not_null()).then(text)
    if dtype == pl.Binary():
        return column.bin.encode("hex")
    return column.cast(pl.String())


def as_id(name: str, dtype: pl.DataType, called: str) -> pl.Expr:
    """A column of ids as text, exactly as it came. Raises SchemaError where its type cannot be
    an id."""
    if dtype.is_nested() or dtype.is_temporal() or dtype in (pl.Binary(), pl.Boolean()):
        raise SchemaError(
            f"{called}: column '{name}' is of type {dtype}, which is no id; name another column"
        )
    return as_text(name, dtype)


def lost_digits(name: str, dtype: pl.DataType) -> pl.Expr:
    """Whether an id is a float too large to be exact."""
    if not dtype.is_float():
        return pl.lit(value=False)
    return (pl.col(name).abs() > EXACT_FLOAT).fill_null(value=False)


def as_time(name: str, dtype: pl.DataType, time_format: str, zone: str) -> pl.Expr:
    """UTC microseconds; null where a text is not in the format."""
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone is None:
            return in_zone(column.cast(pl.Datetime("us")), zone)
        return column.dt.convert_time_zone("UTC").cast(TIME)
    if dtype == pl.Date():
        return in_zone(column.cast(pl.Datetime("us")), zone)
    return parse_times(as_text(name, dtype), time_format, zone)


def as_clock(name: str, dtype: pl.DataType) -> pl.Expr:
    """The time since midnight; null where a text is no time of day."""
    if dtype == pl.Time():
        return pl.col(name).cast(pl.Duration("us"))
    return parse_clock(as_text(name, dtype))


def as_amount(name: str, dtype: pl.DataType, decimal: str) -> pl.Expr:
    """A float, possibly NaN or infinite; null where a text is no number, with or without the
    currency that it is in. -0 becomes 0: rows that are equal are then the same."""
    if dtype.is_numeric():
        return without_negative_zero(pl.col(name).cast(pl.Float64()))
    numbers = as_text(name, dtype).map_batches(
        partial(_numbers, decimal=decimal), return_dtype=pl.Float64(), is_elementwise=True
    )
    return without_negative_zero(numbers)


def _numbers(texts: pl.Series, decimal: str) -> pl.Series:
    """Of the whole column at once: most have no currency to look for."""
    bare = as_plain(texts.str.strip_chars()).alias("text")
    return bare.to_frame().select(_plain_number(pl.col("text"), decimal)).to_series()


def _plain_number(text: pl.Expr, decimal: str) -> pl.Expr:
    grouping = "," if decimal == "." else "."
    plain = (
        pl.when(text.str.contains(_GROUPED[decimal]))
        .then(text.str.replace_all(grouping, "", literal=True))
        .otherwise(text)
    )
    if decimal == ",":
        plain = pl.when(
            ~text.str.contains(r"^[+-]?\d+\.\d*$") | text.str.contains(_GROUPED[","])
        ).then(plain.str.replace(",", ".", literal=True))
    return plain.cast(pl.Float64(), strict=False)


def without_negative_zero(number: pl.Expr) -> pl.Expr:
    return pl.when(number.is_null() | (number != 0)).then(number).otherwise(0.0)


def as_json_object(names: Sequence[str], schema: pl.Schema) -> pl.Expr:
    """One JSON object a row of the columns that are not null, by name; null where all are."""
    ordered = sorted(names)
    if not ordered:
        return pl.lit(None, pl.String())
    return pl.map_batches(
        [as_text(name, schema[name]) for name in ordered],
        partial(_objects, names=ordered),
        return_dtype=pl.String(),
        is_elementwise=True,
    )


def _objects(texts: Sequence[pl.Series], names: Sequence[str]) -> pl.Series:
    pairs = (_pairs(text, name) for text, name in zip(texts, names, strict=True))
    frame = pl.DataFrame([pair.alias(name) for pair, name in zip(pairs, names, strict=True)])
    joined = frame.select(x=pl.concat_str(pl.all(), separator=",", ignore_nulls=True))
    braced = pl.concat_str(pl.lit("{"), "x", pl.lit("}"))
    return joined.select(pl.when(pl.col("x") != "").then(braced)).to_series()


def _pairs(text: pl.Series, name: str) -> pl.Series:
    """`"name":"text"`; null where the text is. Most columns have nothing to escape, and are done
    five times as fast."""
    if text.str.contains(_ESCAPED).any():
        quoted = text.alias(name).to_frame().to_struct().struct.json_encode()
        pair = quoted.str.slice(1, quoted.str.len_chars() - 2)
        return pair.set(text.is_null(), None)
    begin = json.dumps(name, ensure_ascii=False) + ':"'
    written = pl.concat_str(pl.lit(begin), "x", pl.lit('"'))
    return text.alias("x").to_frame().select(written).to_series()
