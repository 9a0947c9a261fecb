"""Instants from text: one format a source, found from the data unless it is named.

A number may count from an instant: seconds and their parts since 1970 ("epoch_ms"), or weeks,
days, hours, minutes, seconds, milliseconds since midnight of a date in the source's zone ("days
since 1899-12-30").

Local times are read in the source's zone by the rule of Python's `fold=0`: a time that occurs
twice (clocks set back) is its first occurrence; one that never occurs (clocks set forward) is
read with the offset that held before the change, so it lies as far after the change as its
clock is past it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from functools import cache
from itertools import product

import polars as pl

from runtime.errors import InputError

TIME = pl.Datetime("us", "UTC")
_MOST_MICROSECONDS = 9.2e18  # what 64 bits hold
_MOST_PASSED = 2e17  # some 6,000 years: further away no calendar holds
EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1, "epoch_ns": 0.001}
_EPOCH_DIGITS = {
    "epoch_s": (9, 10),
    "epoch_ms": (12, 13),
    "epoch_us": (15, 16),
    "epoch_ns": (18, 19),
}
_DATES = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d.%m.%y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%Y%m%d",
    "%y%m%d",
    "%d %b %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%b %d, %Y",
    "%b %d %Y",
    "%d %B %Y",
    "%B %d, %Y",
    "%a, %d %b %Y",
)
_CLOCKS = ("%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%I:%M:%S%p", "%I:%M%p")
_JOINTS = ("T", " ", ", ")
_OFFSETS = ("", "%#z", " %#z", " UTC", " GMT")
_NAMED_UTC = (" UTC", " GMT")
_TO_THE_MINUTE = "%Y%m%d%H%M"
_WHOLE = (
    "%Y%m%d%H%M%S",
    _TO_THE_MINUTE,
    "%Y%m%dT%H%M%S",
    "%Y%m%dT%H%M%S%#z",
    "%d/%b/%Y:%H:%M:%S %#z",
    "%a %b %d %H:%M:%S %Y",
    "%a %b %d %H:%M:%S %#z %Y",
)
FORMATS = (
    *_DATES,
    *(d + j + c + o for d, j, c, o in product(_DATES, _JOINTS, _CLOCKS, _OFFSETS)),
    *_WHOLE,
)
_BARE_DIGITS = {"%Y%m%d": 8, "%y%m%d": 6, _TO_THE_MINUTE: 12}  # chrono takes fewer for them
_UNITS = {  # in microseconds
    "weeks": 604_800_000_000,
    "days": 86_400_000_000,
    "hours": 3_600_000_000,
    "minutes": 60_000_000,
    "seconds": 1_000_000,
    "milliseconds": 1_000,
}
_SINCE = re.compile(rf"({'|'.join(_UNITS)}) since (\d{{4}}-\d{{2}}-\d{{2}})")
_FIRST_LOOK = 50
_LEAST_SHARE = 0.5


def is_offset(time_format: str) -> bool:
    """Whether the format says itself which instant it means, whatever the zone."""
    return time_format in EPOCHS or any(
        mark in time_format for mark in ("%z", "%#z", "%:z", "%Z", "%s", *_NAMED_UTC)
    )


def counts_since(time_format: str) -> bool:
    """Whether it counts from a date: "days since 2016-01-01"."""
    return _SINCE.fullmatch(time_format) is not None


def is_date_only(time_format: str) -> bool:
    if since := _SINCE.fullmatch(time_format):
        return since[1] in ("weeks", "days")
    return time_format not in EPOCHS and not any(
        mark in time_format for mark in ("%H", "%I", "%T", "%R", "%s", "%c", "%+", "%X")
    )


def parse_times(text: pl.Expr, time_format: str, zone: str) -> pl.Expr:
    """UTC microseconds; null where the text is not in the format."""
    text = text.str.strip_chars()
    if time_format in EPOCHS:
        return _from_epoch(text, EPOCHS[time_format])
    if since := _SINCE.fullmatch(time_format):
        return _counted(text, _UNITS[since[1]], date.fromisoformat(since[2]), zone)
    if digits := _BARE_DIGITS.get(time_format):
        text = pl.when(text.str.len_bytes() == digits).then(text)
    if is_offset(time_format) and not time_format.endswith(_NAMED_UTC):
        found = text.str.to_datetime(time_format, time_unit="us", strict=False, exact=True)
        return found.dt.convert_time_zone("UTC")
    naive = text.str.to_datetime(time_format, time_unit="us", strict=False, exact=True)
    return naive.dt.replace_time_zone("UTC") if is_offset(time_format) else in_zone(naive, zone)


def _from_epoch(text: pl.Expr, microseconds: float) -> pl.Expr:
    whole = text.cast(pl.Int64(), strict=False)
    exact = whole // 1000 if microseconds < 1 else whole * int(microseconds)
    inexact = text.cast(pl.Float64(), strict=False) * microseconds
    fits = inexact.is_finite() & (inexact.abs() < _MOST_MICROSECONDS)
    rounded = pl.when(fits).then(inexact).round().cast(pl.Int64(), strict=False)
    return pl.when(fits).then(pl.coalesce(exact, rounded)).cast(TIME)


def _counted(text: pl.Expr, unit: int, origin: date, zone: str) -> pl.Expr:
    """So many units after midnight of the origin, fractions too, on the zone's own clock."""
    passed = text.cast(pl.Float64(), strict=False) * unit
    known = passed.is_finite() & (passed.abs() < _MOST_PASSED)
    days = pl.when(known).then(passed).round().cast(pl.Int64()).cast(pl.Duration("us"))
    return in_zone(days + pl.lit(origin).cast(pl.Datetime("us")), zone)


def at_clock(day: pl.Expr, clock: pl.Expr, zone: str) -> pl.Expr:
    """The instant at which the zone's clock shows `clock` (a duration) on the day of `day`."""
    local = day.dt.convert_time_zone(zone).dt.replace_time_zone(None).dt.truncate("1d")
    return in_zone(local + clock, zone)


def in_zone(naive: pl.Expr, zone: str) -> pl.Expr:
    """Local times of a zone as UTC instants, by the rule of this module."""
    if zone == "UTC":
        return naive.dt.replace_time_zone("UTC").cast(TIME)
    shifted = (
        (naive - pl.duration(hours=hours)).dt.replace_time_zone(
            zone, ambiguous="earliest", non_existent="null"
        )
        + pl.duration(hours=hours)
        for hours in (0, 3, 25)  # 25: a zone that has skipped a whole day
    )
    return pl.coalesce(*shifted).dt.convert_time_zone("UTC").cast(TIME)


def detect(values: pl.Series, called: str, setting: str = "time_format") -> str | None:
    """The format of most of the values (distinct, not null text); None where days and months
    cannot be told apart by them. Raises InputError where no format fits half of them."""
    values = values.str.strip_chars()
    if epoch := _epoch_of(values):
        # Milliseconds of twelve digits are of before 2002; 202405311745 is none of 1976.
        return _TO_THE_MINUTE if _to_the_minute(values) else epoch
    scores = _scores(values)
    if not scores:
        example = values.first()
        raise InputError(
            f"{called}: no known time format fits, for example {example!r}; set '{setting}'"
        )
    best = max(scores.values())
    ways = [name for name, score in scores.items() if score == best]
    day_first = {way.find("%d") < way.find("%m") for way in ways if "%m" in way}
    # Formats that agree on the order of day and month read the same instants.
    return ways[0] if len(day_first) < len((True, False)) else None


def ambiguous(values: pl.Series, called: str, setting: str = "time_format") -> InputError:
    ways = [name for name, score in _scores(values.str.strip_chars()).items() if score]
    shown = " or ".join(f"'{way}'" for way in ways[:2])
    return InputError(
        f"{called}: {values.first()!r} may be read in two ways; set {setting} = {shown}"
    )


def _to_the_minute(values: pl.Series) -> bool:
    count = _readable(values, [_TO_THE_MINUTE])[_TO_THE_MINUTE]
    return count > _LEAST_SHARE * len(values)


def _epoch_of(values: pl.Series) -> str | None:
    digits = values.str.extract(r"^(\d+)(?:\.\d*)?$").str.len_bytes()
    for name, (least, most) in _EPOCH_DIGITS.items():
        share = digits.is_between(least, most).fill_null(value=False).mean()
        if isinstance(share, float) and share > _LEAST_SHARE:
            return name
    return None


def _scores(values: pl.Series) -> dict[str, int]:
    """How many of the values each format reads, for those that read half of them or more."""
    look = values.gather_every(max(1, len(values) // _FIRST_LOOK)).head(_FIRST_LOOK)
    marks = {_marks(value) for value in look if any(c.isdigit() for c in value)}
    likely = [n for n in FORMATS if any(_may_read(n, m) for m in marks)]
    some = [name for name, count in _readable(look, likely).items() if count]
    counts = _readable(values, some)
    return {n: c for n, c in counts.items() if c >= max(1.0, _LEAST_SHARE * len(values))}


def _marks(value: str) -> frozenset[str]:
    return frozenset(c for c in value if c in "-/.:, ")


def _may_read(time_format: str, marks: frozenset[str]) -> bool:
    """A quick look that spares most formats the parsing: do the marks between digits fit?"""
    needed, allowed = _marks_of(time_format)
    return needed <= marks <= allowed


@cache
def _marks_of(time_format: str) -> tuple[frozenset[str], frozenset[str]]:
    """Those that a text of the format must have, and those that it may have."""
    needed = _marks(re.sub(r"%[.#:]?[A-Za-z]", "", time_format))
    optional = ("." if "%.f" in time_format else "") + ("-:" if "%#z" in time_format else "")
    return needed, needed | set(optional)


def _readable(values: pl.Series, time_formats: Sequence[str]) -> dict[str, int]:
    """Of each format, how many of the values it reads as times that can be."""
    frame = values.alias("t").to_frame()
    counts = frame.select(
        parse_times(pl.col("t"), name, "UTC").dt.year().is_between(1900, 2200).sum().alias(name)
        for name in time_formats
    )
    return counts.row(0, named=True) if time_formats else {}
