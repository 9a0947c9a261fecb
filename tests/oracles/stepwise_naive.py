"""Rows of a horizon learned by steps, one at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from training.stepwise import Step

Row = tuple[str, datetime, int, float]


def stacked_rows(
    rows: Sequence[Mapping[str, Any]], steps: Sequence[Step], ended: int, until: datetime | None
) -> tuple[list[Row], list[Row]]:
    """(user, cutoff, step, whether the wait ends) and (user, cutoff, step, what it brings)."""
    waits, brings = [], []
    for row in rows:
        waiting, before = True, 0.0
        for number, step in enumerate(steps):
            late = until is not None and row["cutoff"] + step.known_after > until
            if row[step.churn] is None or late:
                continue
            if waiting:
                over = row[step.churn] == ended
                waits.append((row["user_id"], row["cutoff"], number, float(over)))
                waiting = not over
            value = row[step.value] or 0.0
            brings.append((row["user_id"], row["cutoff"], number, value - before))
            before = value
    return waits, brings
