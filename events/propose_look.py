"""A look at a file nobody has described yet: its layout and what each column holds."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from events.batches import Batch
from events.columns import as_text, as_time, nulled
from events.csv_reader import csv_layout
from events.lines import NOT_UTF8, UTF16_MARKS
from events.nested import JOINT
from events.propose_column import NATIVE, Column
from events.propose_days import day_format, elapsed_format
from events.propose_files import HEAD_ROWS, some_rows
from events.propose_header import all_names, has_header
from events.propose_numbers import number_of
from events.readers import read
from events.sniff import (
    Format,
    delimiter_of,
    file_format,
    sample_lines,
    split_lines,
)
from events.timestamps import TIME, detect, parse_times
from runtime.errors import InputError
from runtime.settings_sources import FileFormat

TAIL_BYTES = 4 << 20
DETECT_FROM = 5_000  # distinct values
OTHER_ENCODING = "windows-1252"  # of what is no UTF-8, in most of the world's exports
NULL_WORDS = (
    *("NULL", "null", "None", "none", "NaN", "nan", "NA", "N/A", "n/a", "\\N", "-"),
    *("0000-00-00", "0000-00-00 00:00:00", "undefined"),
)
_YEARS = (1990, 2100)  # in which a number is believed to be a time
_LEAST_SHARE = 0.95


@dataclass(frozen=True)
class LookupPlan:
    """A file that says more of another's rows. `on`: their columns, and which of the file are the
    same; `columns`: what it says; `next`: the column of its days, where a key has several rows;
    `sure`: whether its days are named as such that are fixed in advance."""

    name: str
    look: Look
    on: dict[str, str]
    columns: tuple[str, ...]
    next: str | None = None
    sure: bool = True

    @property
    def adds(self) -> tuple[str, ...]:
        return tuple(f"{self.name}{JOINT}{column}" for column in self.columns)


@dataclass(frozen=True)
class Look:
    """A file and its columns. `layout`: how to read it; `rows` were looked at; `whole`: they are
    all it has. `more`: files that were looked at together with it, and read the same. `lookups`:
    what brings those of the columns that are another file's."""

    path: Path
    form: Format
    layout: FileFormat
    columns: tuple[Column, ...]
    rows: int
    whole: bool
    more: tuple[Path, ...] = ()
    lookups: tuple[LookupPlan, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path, *self.more)

    @property
    def header(self) -> bool:
        return self.layout.header

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)


def look_at(path: Path, unnest: tuple[str, ...] = (), more: tuple[Path, ...] = ()) -> Look:
    """`unnest`: as of FileFormat. `more`: looked at too, until HEAD_ROWS rows are.
    Raises InputError where the file is missing, empty or of no format that is read."""
    if not path.exists():
        raise InputError(f"{path}: no such file; name another")
    form = file_format(path, None)
    layout = _layout(path, form, None, unnest)
    batches, whole = some_rows((path, *more), layout)
    if form != "parquet" and _is_other_encoding(batches):
        layout = _layout(path, form, OTHER_ENCODING, unnest)
        batches, whole = some_rows((path, *more), layout)
    frame = _as_texts(batches)
    if not frame.height:
        raise InputError(f"{path}: holds no row that can be read{_why_none(batches)}")
    if not whole and form == "csv" and not _zipped(path) and not _wide(path):
        frame = pl.concat([frame, _tail(path, layout)], how="diagonal")
    native = {n for b in batches for n, t in b.rows.schema.items() if t.is_temporal()}
    columns = tuple(_column(frame[name], name in native) for name in frame.columns)
    return Look(path, form, layout, columns, frame.height, whole, more)


def _layout(path: Path, form: Format, encoding: str | None, unnest: tuple[str, ...]) -> FileFormat:
    delimiter, header, names = None, True, None
    if form == "csv":
        delimiter = delimiter_of(path, encoding)
        rows = split_lines(sample_lines(path, encoding), delimiter)
        header = has_header(rows)
        names = all_names(rows) if header else None
    return FileFormat(
        path=str(path),
        format=form,
        delimiter=delimiter,
        header=header,
        names=names,
        encoding=encoding,
        unnest=unnest,
    )


def _is_other_encoding(batches: list[Batch]) -> bool:
    """Some text is no UTF-8, and none is UTF-8 beyond ASCII."""
    names = "".join(name for batch in batches for name in batch.rows.columns)
    if "\ufffd" not in names and not any((b.rejects["reason"] == NOT_UTF8).any() for b in batches):
        return False
    texts = [texts_of(batch.rows) for batch in batches]
    beyond = pl.all().str.contains(r"[^\x00-\x7f]").any()
    return not any(any(t.select(beyond).row(0)) for t in texts if t.width and t.height)


def _why_none(batches: list[Batch]) -> str:
    rejects = pl.concat([batch.rejects for batch in batches]).sort("line")
    if not rejects.height:
        return "; name another file"
    first = rejects.row(0, named=True)
    return f": line {first['line']}: {first['reason']}; correct it or name another file"


def with_time_format(column: Column, time_format: str) -> Column:
    """The column with its times read by another format."""
    times = _times(column.text, time_format)
    if times is None:
        return column
    return replace(column, times=times, time_format=time_format, time_ambiguous=False)


def _as_texts(batches: list[Batch]) -> pl.DataFrame:
    frames = [texts_of(batch.rows) for batch in batches]
    return pl.concat([f for f in frames if f.width] or [pl.DataFrame()], how="diagonal")


def texts_of(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(_text(name, dtype) for name, dtype in rows.schema.items())


def _text(name: str, dtype: pl.DataType) -> pl.Expr:
    if dtype.is_temporal() and dtype != pl.Time() and dtype != pl.Duration():
        utc = as_time(name, dtype, "", "UTC")
        return utc.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f").alias(name)
    return as_text(name, dtype).alias(name)


def _zipped(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _wide(path: Path) -> bool:
    """Whether it is UTF-16, which cannot be cut anywhere."""
    with path.open("rb") as file:
        return file.read(2) in UTF16_MARKS


def _tail(path: Path, layout: FileFormat) -> pl.DataFrame:
    """The last rows of a text file: in a log in order of time, dates that tell day from month."""
    names = csv_layout(path, layout).names
    with path.open("rb") as file:
        file.seek(-min(TAIL_BYTES, path.stat().st_size), 2)
        data = file.read()
    with tempfile.NamedTemporaryFile(suffix=".csv") as end:
        end.write(data[data.find(b"\n") + 1 :])
        end.flush()
        bare = layout.model_copy(update={"header": False, "names": names})
        return _as_texts(list(read(Path(end.name), bare)))


def _column(values: pl.Series, native: bool) -> Column:
    known = values.drop_nulls()
    words = tuple(sorted(known.filter(known.is_in(NULL_WORDS)).unique()))
    text = nulled(values.to_frame(), ("", *words)).to_series()
    time_format, unsure = (NATIVE, False) if native else _time_format(text.drop_nulls())
    times = _times(text, time_format) if time_format else None
    number, decimal = number_of(text.drop_nulls().head(HEAD_ROWS))
    if times is None:
        found = (day_format(text) or elapsed_format(text)) if number and not native else None
        time_format, unsure = found, False
        times = _times(text, time_format) if time_format else None
    return Column(values.name, text, times, time_format, unsure, number, decimal, words)


def _time_format(known: pl.Series) -> tuple[str | None, bool]:
    if known.is_empty():
        return None, False
    values = known.head(HEAD_ROWS).unique(maintain_order=True).head(DETECT_FROM)
    try:
        found = detect(values, "")
    except InputError:
        return None, False
    return (found, False) if found else (_more_in_order(known), True)


def _more_in_order(known: pl.Series) -> str | None:
    """Of two ways to read day and month the one under which the rows lie more in order."""
    best, most = None, -1.0
    for day_first in ("%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y"):
        for clock in ("", " %H:%M:%S%.f", " %H:%M", " %I:%M:%S %p", " %I:%M %p"):
            times = parsed(known, day_first + clock)
            if times.null_count():
                continue
            steps = times.cast(pl.Int64()).diff().drop_nulls()
            share = float((steps >= 0).sum()) / max(1, len(steps))
            if share > most:
                best, most = day_first + clock, share
    return best


def parsed(text: pl.Series, time_format: str) -> pl.Series:
    frame = text.alias("t").to_frame()
    if time_format == NATIVE:
        time_format = "%Y-%m-%dT%H:%M:%S%.f"
    return frame.select(parse_times(pl.col("t"), time_format, "UTC"))["t"]


def _times(text: pl.Series, time_format: str) -> pl.Series | None:
    times = parsed(text, time_format)
    plausible = times.dt.year().is_between(*_YEARS).fill_null(value=False)
    known = len(text) - text.null_count()
    if known == 0 or plausible.sum() < _LEAST_SHARE * known:
        return None
    return times.set(~plausible, None).cast(TIME)
