"""Times of day from text, as durations since midnight."""

from __future__ import annotations

import polars as pl

_SHOWN = r"^(\d{1,2}):(\d{2})(?::(\d{2})(\.\d{1,6})?)?\s*([AaPp][Mm])?$"
_DIGITS = r"^\d{1,6}$"
_LAST = (23, 59, 59)  # hour, minute, second


def parse_clock(text: pl.Expr) -> pl.Expr:
    """16:31, 4:31:05 PM, or digits as 1631 and 163105; null where the text is none of these."""
    text = text.str.strip_chars()
    hour, minute, second = (pl.coalesce(_shown(text, i), _digits(text, i)) for i in range(3))
    half = text.str.extract(_SHOWN, 5).str.to_lowercase()
    hour = pl.when(half.is_null()).then(hour).otherwise(hour % 12 + 12 * (half == "pm"))
    part = text.str.extract(_SHOWN, 4).cast(pl.Float64(), strict=False).fill_null(0)
    parts = (hour, minute, second.fill_null(0))
    real = pl.all_horizontal(number <= last for number, last in zip(parts, _LAST, strict=True))
    micros = (hour * 3_600 + minute * 60 + second.fill_null(0)) * 1_000_000
    whole = micros + (part * 1_000_000).round().cast(pl.Int64())
    return pl.when(real).then(whole).cast(pl.Duration("us"))


def _shown(text: pl.Expr, place: int) -> pl.Expr:
    return text.str.extract(_SHOWN, place + 1).cast(pl.Int64(), strict=False)


def _digits(text: pl.Expr, place: int) -> pl.Expr:
    """Of up to four digits the last two are the minute, of more the second."""
    digits = pl.when(text.str.contains(_DIGITS)).then(text)
    long = digits.str.len_bytes() > len("2359")
    to_the_minute = digits.str.pad_start(4, "0").str.pad_end(6, "0")
    whole = pl.when(long).then(digits.str.pad_start(6, "0")).otherwise(to_the_minute)
    return whole.str.slice(2 * place, 2).cast(pl.Int64(), strict=False)
