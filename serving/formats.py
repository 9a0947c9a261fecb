"""The formats of an export: a closed table from a format's name to how it is written and read."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from runtime.errors import UsageError

# Probabilities and money are shown, ranked and compared with this many digits after the point.
DECIMALS = 6

EXPORT_VERSION = 2
# The numbers that a model gives: probabilities and money, with intervals of 90 %.
NUMBERS = (
    "churn_probability",
    "churn_low",
    "churn_high",
    "expected_value",
    "median_value",
    "value_low",
    "value_high",
)
COLUMNS = (
    "user_id",
    "as_of",
    "rank",
    "risk_band",
    *NUMBERS,
    "expected_loss",
    "reason_1",
    "reason_2",
    "reason_3",
)


@dataclass(frozen=True)
class Format:
    """`write` streams a plan with COLUMNS into a file; `read` gives back its header and a plan
    over its rows, in which every column is text and an absent value is empty."""

    suffix: str
    write: Callable[[pl.LazyFrame, Path], None]
    read: Callable[[Path], tuple[tuple[str, ...], pl.LazyFrame]]


def find_format(name: str) -> Format:
    """Raises UsageError listing the formats."""
    if name not in FORMATS:
        raise UsageError(f"unknown format '{name}'; known formats: {', '.join(sorted(FORMATS))}")
    return FORMATS[name]


def _write_csv(plan: pl.LazyFrame, path: Path) -> None:
    """RFC 4180 in UTF-8 with LF between lines: text always in quotes, an absent value bare.

    Ids are written as they are. No quoting keeps a spreadsheet from reading `007` as 7 or
    `=cmd` as a formula; a changed id, though, would match no customer in the CRM.
    """
    plan.sink_csv(path, quote_style="non_numeric", float_precision=DECIMALS, line_terminator="\n")


def _read_csv(path: Path) -> tuple[tuple[str, ...], pl.LazyFrame]:
    with path.open(encoding="utf-8", newline="") as file:
        header = tuple(next(csv.reader(file), ()))
    return header, pl.scan_csv(path, infer_schema=False, empty_string_is_null=False)


FORMATS: dict[str, Format] = {"csv": Format(".csv", _write_csv, _read_csv)}
