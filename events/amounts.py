"""Days on which amounts that usually come are missing."""

from __future__ import annotations

import numpy as np

from events.daily import Grid
from events.findings import Finding

DAYS_AROUND = 28
LEAST_ROWS = 20
LEAST_RISE = 0.2
MOST_SCALES = 5.0
MOSTLY = 0.5


def amount_findings(grid: Grid) -> list[Finding]:
    """Days whose share of rows without an amount lies 0.2 and 5 binomial deviations above the
    median of the 28 days before and after; only of events that mostly carry an amount."""
    findings = []
    for place, name in enumerate(grid.events):
        rows, nulls = grid.rows[:, place], grid.nulls[:, place]
        enough = np.flatnonzero(rows >= LEAST_ROWS)
        share = np.full(len(rows), np.nan)
        share[enough] = nulls[enough] / rows[enough]
        if not enough.size or np.median(share[enough]) > MOSTLY:
            continue
        for day in enough:
            around = np.r_[share[max(day - DAYS_AROUND, 0) : day], share[day + 1 :][:DAYS_AROUND]]
            around = around[np.isfinite(around)]
            if around.size and _rises(share[day], float(np.median(around)), int(rows[day])):
                findings.append(_finding(grid, name, int(day), share[day], np.median(around)))
    return findings


def _rises(share: float, usual: float, rows: int) -> bool:
    safe = min(max(usual, 1 / rows), 1 - 1 / rows)
    scale = float(np.sqrt(safe * (1 - safe) / rows))
    return share - usual > max(LEAST_RISE, MOST_SCALES * scale)


def _finding(grid: Grid, name: str, day: int, share: float, usual: float) -> Finding:
    return Finding(
        severity="warning",
        kind="amounts",
        event=name,
        first_day=grid.day(day),
        last_day=grid.day(day),
        found=round(float(share), 4),
        expected=round(float(usual), 4),
        message=f"{share:.0%} of '{name}' have no amount on {grid.day(day)}; usually {usual:.0%}",
    )
