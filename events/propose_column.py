"""What one column of a file holds that nobody has described yet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from events.money import currencies_in
from events.propose_files import HEAD_ROWS
from events.time_of_day import parse_clock
from events.timestamps import counts_since, is_date_only

NATIVE = "native"  # the format of a column of times


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

    @cached_property
    def known(self) -> int:
        return len(self.text) - self.text.null_count()

    @cached_property
    def kinds(self) -> int:
        return self.text.drop_nulls().n_unique()

    @cached_property
    def whole(self) -> bool:
        return bool(self.text.drop_nulls().str.contains(r"^-?\d+$").all())

    @cached_property
    def currencies(self) -> tuple[str, ...]:
        """Those that its numbers are written with."""
        return tuple(currencies_in(self.text)) if self.number else ()

    @cached_property
    def objects(self) -> bool:
        """Whether it holds JSON objects."""
        return self.known > 0 and bool(self.text.drop_nulls().str.starts_with("{").all())

    @cached_property
    def clock(self) -> bool:
        """Whether it holds times of day; an hour alone, 0 to 23, is none."""
        known = self.text.drop_nulls().head(HEAD_ROWS)
        read_as = known.to_frame().select(parse_clock(pl.col(known.name)))[known.name]
        finer = known.str.contains(":") | (known.str.len_bytes() > len("23"))
        return len(known) > 0 and bool(read_as.is_not_null().all()) and bool(finer.any())

    @property
    def digits(self) -> bool:
        """Whether its times, if any, are bare numbers, which ids can be too."""
        return bool((self.time_format or "").startswith(("epoch", "%Y%m%d", "%y%m%d")))

    @cached_property
    def finer_than_a_day(self) -> bool:
        if self.times is None or self.time_format is None:
            return False
        if self.time_format == NATIVE or counts_since(self.time_format):
            return bool((self.times.dt.truncate("1d") != self.times).any())
        return not is_date_only(self.time_format)
