"""RFM: who bought lately, often and for much, at an instant, in cells of three scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import polars as pl

from events.passes import summed
from events.store import EventStore, known_before
from features.definitions import value_amount
from retention.order_statistics import order_statistics
from retention.user_measures import LARGEST_AMOUNT, UNITS
from runtime.clock import show
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.errors import UsageError
from runtime.settings import Settings
from runtime.settings_lifecycle import Rfm as RfmSection

PARTS = ("recency", "frequency", "monetary")
MONEY_DIGITS = 6
_DAY_US = 86_400_000_000


@dataclass(frozen=True)
class RfmTable:
    """`cells`: one row per cell that has users: recency, frequency, monetary (scores from 1, the
    higher the better), users, share, value (money in the window).

    Over the users with a purchase (a value event with an amount) before `at`, within the window
    where one is set. Recency: whole days of 24 hours since the last; frequency: how many;
    monetary: their mean amount. `edges`: rising, in those units; between them lie the scores.
    `quantiles`: by part, whether its edges were learned: a value shared by many users is never
    split and gets the lowest score of those it would spread over, so with few distinct values
    some scores have nobody.
    """

    at: datetime
    window_days: int | None
    users: int
    edges: dict[str, tuple[float, ...]]
    quantiles: dict[str, bool]
    cells: pl.DataFrame

    def to_json(self) -> dict[str, Any]:
        return {
            "at": show(self.at),
            "window_days": self.window_days,
            "users": self.users,
            "edges": {name: list(edges) for name, edges in self.edges.items()},
            "quantiles": self.quantiles,
            "rows": self.cells.to_dicts(),
        }


@dataclass(frozen=True)
class Scale:
    """Edges of one part in the direction of better, and whether a value on an edge lies above."""

    edges: tuple[float, ...]
    at_edge: bool


def rfm(
    settings: Settings,
    store: EventStore,
    device: Device,
    at: datetime | None = None,
    *,
    cluster: Cluster = IN_PROCESS,
) -> RfmTable:
    """At `at`, by default the instant up to which the log is complete. Three passes over the
    buckets, one where all edges are stated. Exact. Raises UsageError."""
    moment = instant_in(store, at)
    scales = learn_scales(settings, store, device, moment, cluster)
    counts = summed(
        lambda events: cells_plan(scored_plan(events, settings, moment, scales)),
        store,
        device,
        by=PARTS,
        label="rfm",
        cluster=cluster,
    )
    users = int(counts["users"].sum())
    if not users:
        raise UsageError(
            f"rfm at {show(moment)}: nobody has bought before; it needs events with an amount "
            "([source.columns] amount, [value] events)"
        )
    section = settings.lifecycle.rfm
    return RfmTable(
        at=moment,
        window_days=section.window_days,
        users=users,
        edges={name: _told(name, scales[n]) for n, name in enumerate(PARTS)},
        quantiles={name: _stated(section, name) is None for name in PARTS},
        cells=counts.select(
            *PARTS,
            "users",
            share=pl.col("users") / users,
            value=pl.col("value").round(MONEY_DIGITS),  # users are added as threads come
        ),
    )


def instant_in(store: EventStore, at: datetime | None) -> datetime:
    """Raises UsageError for one that the log does not reach or that comes before it."""
    moment = store.covered_until if at is None else at
    if not store.first < moment <= store.covered_until:
        raise UsageError(
            f"at {show(moment)}: the log goes from {show(store.first)} to "
            f"{show(store.covered_until)}; choose an instant after its first event"
        )
    return moment


def learn_scales(
    settings: Settings, store: EventStore, device: Device, at: datetime, cluster: Cluster
) -> tuple[Scale, ...]:
    section = settings.lifecycle.rfm
    shares = [Fraction(n, section.parts) for n in range(1, section.parts)]
    unknown = [n for n, name in enumerate(PARTS) if _stated(section, name) is None]
    found = {}
    if unknown:
        found = order_statistics(
            lambda events, _: values_plan(events, settings, at),
            dict.fromkeys(unknown, shares),
            store,
            device,
            "rfm edges",
            cluster,
        )
    scales = []
    for n, name in enumerate(PARTS):
        stated = _stated(section, name)
        if stated is not None and name == "recency":
            scales.append(Scale(tuple(-edge for edge in reversed(stated)), at_edge=False))
        elif stated is not None:
            scales.append(Scale(stated, at_edge=True))
        else:
            scales.append(Scale(found[0, n].values if (0, n) in found else (), at_edge=False))
    return tuple(scales)


def _stated(section: RfmSection, name: str) -> tuple[float, ...] | None:
    stated: tuple[float, ...] | None = getattr(section, f"{name}_edges")
    return stated


def _told(name: str, scale: Scale) -> tuple[float, ...]:
    if name == "recency":
        return tuple(-edge + 0.0 for edge in reversed(scale.edges))
    return scale.edges


def bought_plan(events: pl.LazyFrame, settings: Settings, at: datetime) -> pl.LazyFrame:
    """A row a user who has bought: user_id, recency (turned round, so that more is better),
    frequency, monetary, value; Float64."""
    window = settings.lifecycle.rfm.window_days
    amount = value_amount(settings.value).clip(-LARGEST_AMOUNT, LARGEST_AMOUNT)
    known = events.filter(known_before(at))
    if window is not None:
        known = known.filter(pl.col("ts") >= at - timedelta(days=window))
    bought = known.select("user_id", "ts", units=(amount * UNITS).round(0).cast(pl.Int64))
    users = (
        bought.filter(pl.col("units").is_not_null())
        .group_by("user_id")
        .agg(
            last=pl.col("ts").cast(pl.Int64).max(),
            frequency=pl.len().cast(pl.Float64),
            value=pl.col("units").sum().cast(pl.Float64) / UNITS,
        )
    )
    now = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return users.select(
        "user_id",
        "frequency",
        "value",
        recency=-((now - pl.col("last")) // _DAY_US).cast(pl.Float64),
        monetary=pl.col("value") / pl.col("frequency"),
    )


def values_plan(events: pl.LazyFrame, settings: Settings, at: datetime) -> pl.LazyFrame:
    """place (0), key (position in PARTS), value."""
    bought = bought_plan(events, settings, at)
    place = pl.lit(0, pl.Int32)
    parts = [
        bought.select(place=place, key=pl.lit(n, pl.Int32), value=pl.col(name))
        for n, name in enumerate(PARTS)
    ]
    return pl.concat(parts)


def scored_plan(
    events: pl.LazyFrame, settings: Settings, at: datetime, scales: Sequence[Scale]
) -> pl.LazyFrame:
    """user_id, value, and by PARTS the scores, Int32."""
    bought = bought_plan(events, settings, at)
    scores = {name: _score(name, scale) for name, scale in zip(PARTS, scales, strict=True)}
    return bought.select("user_id", "value", **scores)


def _score(name: str, scale: Scale) -> pl.Expr:
    value, score = pl.col(name), pl.lit(1, pl.Int32)
    for edge in scale.edges:
        above = value >= edge if scale.at_edge else value > edge
        score = score + above.cast(pl.Int32)
    return score


def cells_plan(scored: pl.LazyFrame) -> pl.LazyFrame:
    """Counts of one bucket by PARTS: users, value."""
    return scored.group_by(PARTS).agg(users=pl.len().cast(pl.Int64), value=pl.col("value").sum())
