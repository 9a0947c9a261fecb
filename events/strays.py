"""Stray rows: a few, far from the rest of the log."""

from __future__ import annotations

import numpy as np
import polars as pl

from events.calendar import first_day
from events.findings import Finding
from runtime.counted import counted

SILENCE_DAYS = 30
MOST_SHARE = 0.001


def without_strays(counts: pl.DataFrame) -> tuple[tuple[int, int], list[Finding]]:
    """The days of the log's body (the first, and the one after the last), and a finding for the
    few rows before or after it: an epoch of 0, a clock that is years off. They move the log's
    beginning or end.

    Strays are at most a thousandth of the rows on a side, with a silence of more than 30 days
    between them and the rest.
    """
    total = counts.group_by("number").agg(pl.col("rows").sum()).sort("number")
    busy = total["number"].to_numpy()
    upto = np.cumsum(total["rows"].to_numpy())
    days = (int(busy[0]), int(busy[-1]) + 1)
    gaps = np.flatnonzero(np.diff(busy) > SILENCE_DAYS)
    before = [int(g) for g in gaps if upto[g] <= MOST_SHARE * upto[-1]]
    after = [int(g) for g in gaps if upto[-1] - upto[g] <= MOST_SHARE * upto[-1]]
    start, end = days
    findings = []
    if before:
        start = int(busy[before[-1] + 1])
        span = (days[0], int(busy[before[-1]]))
        findings.append(_finding(int(upto[before[-1]]), span, "before", start))
    if after:
        end = int(busy[after[0]]) + 1
        span = (int(busy[after[0] + 1]), int(busy[-1]))
        findings.append(_finding(int(upto[-1] - upto[after[0]]), span, "after", end - 1))
    return (start, end), findings


def _finding(rows: int, span: tuple[int, int], side: str, edge: int) -> Finding:
    key = "earliest" if side == "before" else "latest"
    return Finding(
        severity="error",
        kind="stray",
        event=None,
        first_day=first_day(span[0], "day"),
        last_day=first_day(span[1], "day"),
        found=rows,
        expected=0,
        message=f"{counted(rows, 'rows')} {side} {first_day(edge, 'day')} with a long silence "
        f"between: a wrong clock? set events.{key} to keep such rows out",
    )
