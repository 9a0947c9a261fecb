"""A look at a file nobody has described yet: its layout and what each column holds."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from events.batches import Batch
from events.columns import as_amount, as_text, as_time
from events.csv_reader import csv_layout
from events.readers import read
from events.sniff import Format, delimiter_of, file_format, sample_lines, split_lines
from events.timestamps import TIME, detect, is_date_only, parse_times
from runtime.errors import InputError
from runtime.settings import FileFormat

HEAD_ROWS = 200_000
TAIL_BYTES = 4 << 20
DETECT_FROM = 5_000  # distinct values
NATIVE = "native"
NULL_WORDS = (
    *("NULL", "null", "None", "none", "NaN", "nan", "NA", "N/A", "n/a", "\\N", "-"),
    *("0000-00-00", "0000-00-00 00:00:00", "undefined"),
)
_YEARS = (1990, 2100)  # in which a number is believed to be a time
_LEAST_SHARE = 0.95


@dataclass(frozen=True)
class Column:
    """What a column of the sample holds. `text` has its values as text, null words as null."""

    name: str
    text: pl.Series
    times: pl.Series | None  # UTC, where most values are times
    time_format: str | None  # NATIVE for a column of times, None where `times` is
    time_ambiguous: bool  # day and month could be the other way round
    number: bool
    decimal: str
    null_words: tuple[str, ...]

    @property
    def known(self) -> int:
        return len(self.text) - self.text.null_count()

    @property
    def kinds(self) -> int:
        return self.text.drop_nulls().n_unique()

    @property
    def whole(self) -> bool:
        return bool(self.text.drop_nulls().str.contains(r"^-?\d+$").all())

    @property
    def finer_than_a_day(self) -> bool:
        if self.times is None or self.time_format is None:
            return False
        if self.time_format == NATIVE:
            return bool((self.times.dt.truncate("1d") != self.times).any())
        return not is_date_only(self.time_format)


@dataclass(frozen=True)
class Look:
    """A file's layout and columns. `rows` were looked at; `whole`: they are all it has."""

    path: Path
    form: Format
    delimiter: str | None
    header: bool
    columns: tuple[Column, ...]
    rows: int
    whole: bool

    @property
    def layout(self) -> tuple[object, ...]:
        return (self.form, self.delimiter, self.header, tuple(c.name for c in self.columns))

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)


def look_at(path: Path) -> Look:
    """Raises InputError where the file is missing, empty or of no format that is read."""
    if not path.exists():
        raise InputError(f"{path}: no such file; name another")
    form = file_format(path, None)
    delimiter, header = None, True
    if form == "csv":
        delimiter = delimiter_of(path)
        header = _has_header(path, delimiter)
    layout = FileFormat(path=str(path), format=form, delimiter=delimiter, header=header)
    batches, whole = _head(read(path, layout))
    frame = _as_texts(batches)
    if not frame.height:
        raise InputError(f"{path}: holds no row that can be read; name another file")
    if not whole and form == "csv" and not _zipped(path):
        frame = pl.concat([frame, _tail(path, layout)], how="diagonal")
    native = {n for b in batches for n, t in b.rows.schema.items() if t.is_temporal()}
    columns = tuple(_column(frame[name], name in native) for name in frame.columns)
    return Look(path, form, delimiter, header, columns, frame.height, whole)


def _head(batches: Iterator[Batch]) -> tuple[list[Batch], bool]:
    taken: list[Batch] = []
    rows = 0
    for batch in batches:
        if rows >= HEAD_ROWS:
            return taken, False
        taken.append(batch)
        rows += batch.rows.height
    return taken, True


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


def _has_header(path: Path, delimiter: str) -> bool:
    """No where some field of the first line is a number or a time, or empty beside others."""
    rows = split_lines(sample_lines(path, 20), delimiter)
    if not rows:
        return True
    return not any(_is_data(field.strip()) for field in rows[0])


def _is_data(field: str) -> bool:
    if re.fullmatch(r"[+-]?[\d.,]*\d[\d.,]*", field):
        return True
    return bool(re.match(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}", field))


def _column(values: pl.Series, native: bool) -> Column:
    known = values.drop_nulls()
    words = tuple(sorted(known.filter(known.is_in(NULL_WORDS)).unique()))
    text = values.set(values.is_in(["", *words]).fill_null(value=False), None)
    time_format, unsure = (NATIVE, False) if native else _time_format(text.drop_nulls())
    times = _times(text, time_format) if time_format else None
    if times is None:
        time_format, unsure = None, False
    number, decimal = _number(text.drop_nulls())
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


def _number(known: pl.Series) -> tuple[bool, str]:
    if known.is_empty():
        return False, "."
    frame = known.head(HEAD_ROWS).alias("v").to_frame()
    commas = frame["v"].str.contains(r"^[+-]?\d+(\.\d{3})*,\d{1,2}$|^[+-]?\d{1,3}(\.\d{3})+$")
    points = frame["v"].str.contains(r"^[+-]?\d+\.\d+$|^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$")
    decimal = "," if commas.sum() > points.sum() else "."
    read_as = frame.select(as_amount("v", pl.String(), decimal))["v"]
    return int(read_as.is_finite().sum() or 0) >= _LEAST_SHARE * len(frame), decimal
