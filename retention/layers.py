"""Operating layers and tags: where every user stands at the end of each period, by stated rules,
and who moves from where to where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from events.calendar import known_period
from events.passes import summed
from events.store import EventStore
from retention.instants import ByPeriod, Instants, instants_of
from retention.learned import Learned, learn, with_learned
from retention.movements import LayerTables, layer_tables
from retention.user_measures import Asked, measured_plan
from runtime.clock import show
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.rules import read_rule
from runtime.settings import Settings
from runtime.settings_lifecycle import MEASURES, Rule

NOT_YET = -1  # the layer of who is not known yet
COUNTED = ("place", "from", "layer", "tags_from", "tags")


@dataclass(frozen=True)
class Layers(ByPeriod):
    """Layers exclude each other: the first of `layer_rules` that holds, or "other". Tags do not.

    Each table has period (first day, a date) and at: the period's end, or now where it has not
    ended; `complete` is then false. A user is there from the first event on and for ever.

    `layers`: layer, users, share, value (amounts ever), value_recent. `tags`: tag, users, share,
    value, value_recent. `movements`: from (null: first event in this period), to, users, value:
    over from they sum to the layers of the period, over to to those of the period before.
    `tag_movements`: tag, gained, kept, lost, users = gained + kept. `learned`: users,
    population_gap_days (null while nobody has come back), value_edges and activity_edges (by
    the share of users at or below).
    """

    window_days: int
    horizon_days: int
    layer_rules: tuple[Rule, ...]
    tag_rules: tuple[Rule, ...]
    layers: pl.DataFrame
    tags: pl.DataFrame
    movements: pl.DataFrame
    tag_movements: pl.DataFrame
    learned: tuple[dict[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        return {
            **self.head(),
            "window_days": self.window_days,
            "horizon_days": self.horizon_days,
            "layers": [rule.model_dump() for rule in self.layer_rules],
            "tags": [rule.model_dump() for rule in self.tag_rules],
            "measures": dict(MEASURES),
            "learned": list(self.learned),
            "rows": _plain(self.layers),
            "tag_rows": _plain(self.tags),
            "movements": _plain(self.movements),
            "tag_movements": _plain(self.tag_movements),
        }


def layers(
    settings: Settings,
    store: EventStore,
    device: Device,
    period: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    cluster: Cluster = IN_PROCESS,
) -> Layers:
    """At the end of each period that `[since, until)` touches, three passes over the buckets for
    60 periods at once. Exact. Raises UsageError."""
    known = known_period(period or settings.lifecycle.period)
    whole = instants_of(store, known, settings.project.timezone, since, until)
    parts = [_block(settings, store, device, part, cluster) for part in whole.blocks()]
    asked = Asked.of(settings, store, whole)
    return Layers(
        period=known,
        timezone=settings.project.timezone,
        as_of=store.as_of,
        covered_until=store.covered_until,
        window_days=asked.window_days,
        horizon_days=asked.horizon_days,
        layer_rules=settings.lifecycle.layers,
        tag_rules=settings.lifecycle.tags,
        layers=pl.concat([part.layers for part, _ in parts]),
        tags=pl.concat([part.tags for part, _ in parts]),
        movements=pl.concat([part.movements for part, _ in parts]),
        tag_movements=pl.concat([part.tag_movements for part, _ in parts]),
        learned=tuple(row for _, rows in parts for row in rows),
    )


def _block(
    settings: Settings, store: EventStore, device: Device, instants: Instants, cluster: Cluster
) -> tuple[LayerTables, list[dict[str, Any]]]:
    asked = Asked.of(settings, store, instants)
    learned = learn(asked, rules_of(settings), store, device, cluster)
    counts = summed(
        lambda events, bucket: moved_plan(
            standing_plan(events, settings, asked, learned, in_order=store.in_order(bucket))
        ),
        store,
        device,
        by=COUNTED,
        label="layers",
        with_bucket=True,
        cluster=cluster,
    )
    names = [[rule.name for rule in rules] for rules in _both(settings)]
    return layer_tables(counts, instants, *names), _learned_rows(learned, instants)


def rules_of(settings: Settings) -> Sequence[Rule]:
    return [rule for rules in _both(settings) for rule in rules]


def _both(settings: Settings) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
    return settings.lifecycle.layers, settings.lifecycle.tags


def standing_plan(
    events: pl.LazyFrame, settings: Settings, asked: Asked, learned: Learned, *, in_order: bool
) -> pl.LazyFrame:
    """One row a user and instant, as `measured_plan` and `with_learned` give it, with layer
    (position among the rules; their number for who fits none) and tags (bit n: the n-th rule)."""
    users = with_learned(measured_plan(events, asked, in_order=in_order), asked, learned)
    layer_rules, tag_rules = _both(settings)
    layer = pl.lit(len(layer_rules), pl.Int32)
    for place, rule in reversed(tuple(enumerate(layer_rules))):
        layer = pl.when(_holds(rule)).then(pl.lit(place, pl.Int32)).otherwise(layer)
    tags = pl.lit(0, pl.Int32)
    for place, rule in enumerate(tag_rules):
        tags = tags + pl.when(_holds(rule)).then(pl.lit(1 << place, pl.Int32)).otherwise(0)
    return users.with_columns(layer=layer, tags=tags)


def _holds(rule: Rule) -> pl.Expr:
    return read_rule(rule.rule, MEASURES).fill_null(value=False)


def moved_plan(standing: pl.LazyFrame) -> pl.LazyFrame:
    """Counts of one bucket by COUNTED: users, value, value_recent; of every instant but the
    first, which is there to come from. from: -1 for who was not known then."""
    known = ~pl.col("fresh")
    moved = standing.with_columns(
        pl.when(known).then(pl.col("layer").shift(1)).otherwise(NOT_YET).alias("from"),
        tags_from=pl.when(known).then(pl.col("tags").shift(1)).otherwise(0),
    )
    return (
        moved.filter(pl.col("place") > 0)
        .group_by(COUNTED)
        .agg(
            users=pl.len().cast(pl.Int64),
            value=pl.col("value_total").sum(),
            value_recent=pl.col("value_recent").sum(),
        )
    )


def _learned_rows(learned: Learned, instants: Instants) -> list[dict[str, Any]]:
    return [
        {
            "period": str(instants.days[place]),
            "at": show(instants.at[place]),
            "users": learned.activity[place].users,
            "population_gap_days": learned.gap[place],
            "value_edges": _edges(learned, learned.value[place].values),
            "activity_edges": _edges(learned, learned.activity[place].values),
        }
        for place in range(1, len(instants))
    ]


def _edges(learned: Learned, values: Sequence[float]) -> dict[str, float]:
    return {str(share): value for share, value in zip(learned.shares, values, strict=False)}


def _plain(table: pl.DataFrame) -> list[dict[str, Any]]:
    rows = table.with_columns(pl.col("period").cast(pl.String)).to_dicts()
    return [row | {"at": show(row["at"])} for row in rows]
