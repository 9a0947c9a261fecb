"""Delimited text in which quoted fields may run over line ends, or quotes do not match.

A quoted field may hold line ends. Where a record over several lines has not the expected number
of fields, or its quote never closes, only its first line is rejected and reading goes on at the
next line: one stray quote costs one row.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence

import polars as pl

from events.batches import Batch, rejects_frame
from events.lines import MAX_LINE_BYTES, NOT_UTF8, Block, Reject, shown

csv.field_size_limit(2 * MAX_LINE_BYTES)


def ragged_reason(found: int, names: Sequence[str]) -> str:
    return f"{found} fields where {len(names)} are expected"


class _Feed:
    """Lines from an index on, for csv.reader; knows whether it ran dry."""

    def __init__(self, lines: Sequence[str], index: int) -> None:
        self.lines, self.index, self.dry = lines, index, False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.index >= len(self.lines):
            self.dry = True
            raise StopIteration
        self.index += 1
        return self.lines[self.index - 1]


class _Rows:
    def __init__(self, block: Block, names: Sequence[str], delimiter: str) -> None:
        text = block.data.decode("utf-8", "surrogateescape")
        self.lines = [line + "\n" for line in text.removesuffix("\n").split("\n")] if text else []
        self.first, self.names, self.delimiter = block.first, names, delimiter
        self.good: list[list[str]] = []
        self.numbers: list[int] = []
        self.rejects = list(block.rejects)

    def take(self, last: bool) -> int:
        """Reads the lines; returns the index of the first line of an unfinished record."""
        start = 0
        while start < len(self.lines):
            start, unfinished = self._take_from(start, last)
            if unfinished:
                break
        return start

    def _take_from(self, start: int, last: bool) -> tuple[int, bool]:
        """Reads until a record is odd: where to go on, and whether the rest is unfinished."""
        feed = _Feed(self.lines, start)
        reader = csv.reader(feed, delimiter=self.delimiter)
        while True:
            begin = feed.index
            try:
                row = next(reader)
            except StopIteration:
                return len(self.lines), False
            except csv.Error as error:
                self._reject(begin, f"not readable as CSV: {error}")
                return begin + 1, False
            over_lines = feed.index > begin + 1
            if feed.dry:
                size = sum(len(line) for line in self.lines[begin:])
                if not last and size <= MAX_LINE_BYTES:
                    return begin, True
                self._reject(begin, "a quote that is opened and not closed")
                return begin + 1, False
            if over_lines and len(row) != len(self.names):
                self._reject(begin, ragged_reason(len(row), self.names))
                return begin + 1, False
            self._keep(begin, feed.index, row)

    def _keep(self, begin: int, end: int, row: list[str]) -> None:
        raw = "".join(self.lines[begin:end])
        if not raw.strip("\n"):
            return None
        if len(raw) > MAX_LINE_BYTES:
            return self._reject(begin, f"a record of {len(raw):,} characters")
        if not raw.isascii() and any("\udc80" <= c <= "\udcff" for c in raw):
            return self._reject(begin, NOT_UTF8)
        if len(row) != len(self.names):
            return self._reject(begin, ragged_reason(len(row), self.names))
        self.good.append(row)
        self.numbers.append(self.first + begin)
        return None

    def _reject(self, index: int, reason: str) -> None:
        raw = shown(self.lines[index].removesuffix("\n").encode("utf-8", "surrogateescape"))
        self.rejects.append(Reject(self.first + index, reason, raw))


def odd_rows(block: Block, names: Sequence[str], delimiter: str, last: bool) -> tuple[Batch, bytes]:
    """The block's rows, and the lines of a record that goes on in the next block."""
    rows = _Rows(block, names, delimiter)
    rest = rows.take(last)
    columns = list(zip(*rows.good, strict=True)) if rows.good else [()] * len(names)
    frame = pl.DataFrame(
        [pl.Series(n, column, pl.String()) for n, column in zip(names, columns, strict=True)]
    )
    left = "".join(rows.lines[rest:]).encode("utf-8", "surrogateescape")
    return Batch(
        frame, pl.Series("line", rows.numbers, pl.Int64()), rejects_frame(rows.rejects)
    ), left
