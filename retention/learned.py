"""What is learned of everybody at an instant, from before it: the typical gap, and the edges
above which a user ranks high."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import reduce

import polars as pl

from events.store import EventStore
from retention.order_statistics import Edges, order_statistics
from retention.user_measures import Asked, at_each, measured_plan
from runtime.cluster import Cluster
from runtime.device import Device
from runtime.rules import measures_in, shares_in
from runtime.settings_lifecycle import RANKS, Rule

MEDIAN = Fraction(1, 2)
LARGEST = Fraction(1)
GAP, VALUE, ACTIVITY = 0, 1, 2
NOBODY = Edges(0, ())


@dataclass(frozen=True)
class Learned:
    """By the place of the instant. `shares`: rising, those that the rules compare ranks with."""

    shares: tuple[Decimal, ...]
    gap: tuple[float | None, ...]  # days; null while nobody has come back yet
    value: tuple[Edges, ...]
    activity: tuple[Edges, ...]


def learn(
    asked: Asked, rules: Sequence[Rule], store: EventStore, device: Device, cluster: Cluster
) -> Learned:
    """Two passes over the buckets, for all the instants together."""
    shares = shares_of(rules)
    wanted: dict[int, Sequence[Fraction]] = {GAP: [MEDIAN]}
    if shares:
        exact = [Fraction(share) for share in shares]
        wanted |= {VALUE: [*exact, LARGEST], ACTIVITY: exact}
    found = order_statistics(
        lambda events, bucket: values_plan(events, asked, in_order=store.in_order(bucket)),
        wanted,
        store,
        device,
        "learning",
        cluster,
    )
    places = range(len(asked.instants))
    gaps = [found.get((place, GAP), NOBODY).values for place in places]
    return Learned(
        shares,
        tuple(one[0] if one else None for one in gaps),
        tuple(_worth(found.get((place, VALUE), NOBODY)) for place in places),
        tuple(found.get((place, ACTIVITY), NOBODY) for place in places),
    )


def _worth(edges: Edges) -> Edges:
    """Nobody's, where nobody has brought anything."""
    return Edges(edges.users, edges.values[:-1]) if edges.users and edges.values[-1] > 0 else NOBODY


def shares_of(rules: Sequence[Rule]) -> tuple[Decimal, ...]:
    """The shares that rules about a rank are written with, rising."""
    ranked = (rule.rule for rule in rules if measures_in(rule.rule) & set(RANKS))
    return tuple(sorted({share for text in ranked for share in shares_in(text)}))


def values_plan(events: pl.LazyFrame, asked: Asked, *, in_order: bool) -> pl.LazyFrame:
    """place, key, value: the user's mean gap, the value, the activities lately."""
    users = measured_plan(events, asked, in_order=in_order)
    days = pl.col("active_days")
    values = {
        GAP: pl.when(days > 1).then(pl.col("span_days") / (days - 1)),
        VALUE: pl.col("value_total"),
        ACTIVITY: pl.col("activities_recent").cast(pl.Float64),
    }
    parts = [users.select("place", key=pl.lit(k, pl.Int32), value=v) for k, v in values.items()]
    return pl.concat(parts)


def with_learned(users: pl.LazyFrame, asked: Asked, learned: Learned) -> pl.LazyFrame:
    """Adds population_gap_days, horizon_days, usual_gap_days, gap_ratio, value_rank and
    activity_rank to what `measured_plan` gives."""
    horizon = float(asked.horizon_days)
    gaps = [horizon if gap is None else gap for gap in learned.gap]
    days = pl.col("active_days")
    usual = (pl.col("span_days") + pl.col("population_gap_days")) / days
    return (
        users.with_columns(population_gap_days=at_each(asked, gaps), horizon_days=pl.lit(horizon))
        .with_columns(usual_gap_days=pl.when(days > 0).then(usual))
        .with_columns(
            gap_ratio=pl.col("recency_days") / pl.col("usual_gap_days"),
            value_rank=_rank("value_total", asked, learned.shares, learned.value),
            activity_rank=_rank("activities_recent", asked, learned.shares, learned.activity),
        )
    )


def _rank(measure: str, asked: Asked, shares: Sequence[Decimal], edges: Sequence[Edges]) -> pl.Expr:
    """The highest share such that at least so many users have less; 0 where none is."""
    nothing = pl.lit(None, pl.Float64)
    if not shares or not any(one.users for one in edges):
        return nothing
    known = at_each(asked, [float(one.users > 0) for one in edges]) > 0

    def higher(rank: pl.Expr, step: tuple[int, Decimal]) -> pl.Expr:
        place, share = step
        edge = at_each(asked, [one.values[place] if one.users else None for one in edges])
        return pl.when(pl.col(measure) > edge).then(pl.lit(float(share))).otherwise(rank)

    rank = reduce(higher, enumerate(shares), pl.lit(0.0))
    return pl.when(known).then(rank).otherwise(nothing)
