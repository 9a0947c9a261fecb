"""Against one's peers: a user's month beside that of users first seen as long ago.

What peers do is learned once, before the earliest cutoff, like a vocabulary: a cohort's later
behaviour touches no feature, and no bucket waits for another.
"""

from __future__ import annotations

from itertools import pairwise

import polars as pl

from features.family import Column, Family, column, days_since, within
from features.spec import FeatureSpec, Peers

EDGES_DAYS = (0, 7, 30, 90, 180, 365, 730)


def peer_measures(spec: FeatureSpec) -> dict[str, pl.Expr]:
    """What is compared, by name: expressions over measures in the month's window."""
    if spec.month is None:
        return {}
    events = within("events", spec.month)
    found = {"events": events, "active_days": events - within("same_day", spec.month)}
    if spec.has_amount:
        found["amount"] = within("amount", spec.month)
    return {name: value.cast(pl.Float64) for name, value in found.items()}


def band() -> pl.Expr:
    """How long ago a user was first seen, as a place in EDGES_DAYS."""
    tenure = days_since("first_ts")
    return pl.sum_horizontal(tenure >= edge for edge in EDGES_DAYS[1:]).cast(pl.Int64)


def peers(spec: FeatureSpec) -> Family:
    """The month's activities, active days and amounts by the mean of the user's peers."""
    values = peer_measures(spec)
    return Family(columns=tuple(_column(p, values[p.name], spec) for p in spec.peers))


NOUNS = {"events": "activities", "active_days": "active days", "amount": "spending"}


def _column(learned: Peers, value: pl.Expr, spec: FeatureSpec) -> Column:
    mean = pl.lit(None, dtype=pl.Float64)
    for place, known in enumerate(learned.means):
        if known is not None and known > 0:
            mean = pl.when(band() == place).then(known).otherwise(mean)
    month = spec.month
    assert month is not None, "peers are learned in the month's window"
    last = f"in the last {month.days} days"
    return column(
        f"{learned.name}_{month}_over_peers",
        "ratio",
        f"{NOUNS[learned.name]} {last} by the mean of users first seen as long ago "
        f"({_bands()} days), as it was before the first cutoff",
        f"{NOUNS[learned.name]} {last} at {{}} that of users first seen as long ago",
        value / mean,
        month,
        missing="no peers to compare with",
    )


def _bands() -> str:
    return ", ".join(f"{low} to {high}" for low, high in pairwise(EDGES_DAYS)) + ", longer"
