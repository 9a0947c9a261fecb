"""Tables that say more of a source's rows: read whole, and checked to be found by their keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from events.columns import as_text, as_time, nulled, require
from events.readers import InputFile, find_files, read
from events.timestamps import ambiguous, detect
from runtime.errors import InputError
from runtime.files import digest_file, digest_of
from runtime.settings import Settings
from runtime.settings_sources import Lookup, Source

DAY, NEXT_DAY = "\0day", "next_day"
SECTION = "source.lookup"


@dataclass(frozen=True)
class LookupTable:
    """`rows`: `keys` as text, one row for each, and the columns that it `adds`; of a lookup of the
    next day several, with DAY, in its order. `digest`: of what was read."""

    lookup: Lookup
    rows: pl.DataFrame
    digest: str

    @property
    def keys(self) -> list[str]:
        return [_key(name) for name in self.lookup.keys.values()]

    @property
    def adds(self) -> list[str]:
        return [name for name in self.rows.columns if name not in (*self.keys, DAY)]


def read_lookups(settings: Settings, source: Source) -> tuple[LookupTable, ...]:
    """Raises InputError where a line cannot be read, or a key has several rows; SchemaError."""
    return tuple(_read(settings, source, lookup) for lookup in source.lookup)


def added_columns(tables: Sequence[LookupTable]) -> list[str]:
    return [name for table in tables for name in table.adds]


def check_keys(source: Source, found: Sequence[str], called: str) -> None:
    """Raises SchemaError where a column by which a lookup is found is not there. `found`: the
    source's columns, and what lookups add."""
    for lookup in source.lookup:
        require(f"{called}, lookup {lookup.name}", lookup.keys, found, SECTION)


def _key(name: str) -> str:
    return f"\0{name}"


def _read(settings: Settings, source: Source, lookup: Lookup) -> LookupTable:
    called = f"source {source.name}, lookup {lookup.name}"
    files = find_files(settings, lookup, called)
    rows = pl.concat([_rows(file, lookup, called) for file in files], how="diagonal_relaxed")
    keys = list(lookup.keys.values())
    day = [] if lookup.next is None else [lookup.next]
    others = [name for name in rows.columns if name not in (*keys, *day)]
    kept = others if lookup.columns is None else list(lookup.columns)
    require(called, [*keys, *day, *kept], rows.columns, SECTION)
    texts = rows.select(
        *(as_text(name, rows.schema[name]).alias(_key(name)) for name in keys),
        *(as_text(name, rows.schema[name]).alias(f"{lookup.name}.{name}") for name in kept),
        *(_day(rows, name, lookup, called) for name in day),
    )
    of_key = [_key(name) for name in keys]
    texts = texts.drop_nulls(of_key).unique(maintain_order=True)
    if lookup.next is None:
        _check_one_each(texts, of_key, called)
    else:
        texts = _in_order_of_day(texts, of_key, lookup)
    return LookupTable(lookup, texts, digest_of([digest_file(file.path) for file in files]))


def _rows(file: InputFile, lookup: Lookup, called: str) -> pl.DataFrame:
    batches = list(read(file.path, lookup))
    rejects = pl.concat([batch.rejects for batch in batches]).sort("line")
    if rejects.height:
        first = rejects.row(0, named=True)
        raise InputError(
            f"{called}, {file.shown}: line {first['line']}: {first['reason']}; correct the line"
        )
    rows = pl.concat([batch.rows for batch in batches], how="diagonal_relaxed")
    if not rows.height:
        raise InputError(f"{called}, {file.shown}: holds no row; name another file as 'path'")
    return nulled(rows, lookup.null_values)


def _day(rows: pl.DataFrame, name: str, lookup: Lookup, called: str) -> pl.Expr:
    """The calendar day in the lookup's zone."""
    dtype, time_format = rows.schema[name], lookup.time_format
    if not dtype.is_temporal() and time_format == "auto":
        texts = rows.select(as_text(name, dtype))[name].drop_nulls().unique(maintain_order=True)
        where = f"{called}, column '{name}'"
        found = detect(texts, where, "time_format")
        if found is None:
            raise ambiguous(texts, where, "time_format")
        time_format = found
    instant = as_time(name, dtype, time_format, lookup.timezone)
    return instant.dt.convert_time_zone(lookup.timezone).dt.date().alias(DAY)


def _in_order_of_day(rows: pl.DataFrame, keys: Sequence[str], lookup: Lookup) -> pl.DataFrame:
    """One row for each key and day, the first; the day itself is a column that is added."""
    told = rows.drop_nulls(DAY).unique([*keys, DAY], keep="first", maintain_order=True)
    shown = pl.col(DAY).cast(pl.String()).alias(f"{lookup.name}.{NEXT_DAY}")
    return told.with_columns(shown).sort(DAY, maintain_order=True)


def _check_one_each(rows: pl.DataFrame, keys: Sequence[str], called: str) -> None:
    several = rows.filter(pl.struct(keys).is_duplicated())
    if not several.height:
        return
    first = several.row(0, named=True)
    shown = ", ".join(f"{key[1:]} '{first[key]}'" for key in keys)
    same = several.filter(pl.all_horizontal(pl.col(key) == first[key] for key in keys))
    differ = next(name for name in rows.columns if name not in keys and same[name].n_unique() > 1)
    raise InputError(
        f"{called}: {same.height} different rows have {shown}, with '{same[differ][0]}' and "
        f"'{same[differ][1]}' as '{differ.partition('.')[2]}'; add a column to 'on' that tells "
        "them apart, leave that one out of 'columns', or name a day as 'next'"
    )
