"""The users behind a figure of the lifecycle, written bucket by bucket: as many as it says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from events.calendar import Period, known_period
from events.passes import BucketPlan, each_bucket
from events.store import EventStore
from retention.instants import Instants, period_holding
from retention.layers import NOT_YET, rules_of, standing_plan
from retention.learned import learn
from retention.lifecycle import STATES, states_plan
from retention.rfm import PARTS, instant_in, learn_scales, scored_plan
from retention.user_measures import Asked
from runtime.clock import MICROSECOND
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.errors import UsageError
from runtime.lists import check_list, write_list
from runtime.settings import Settings
from runtime.settings_lifecycle import MEASURES, OTHER, Rule

NOBODY = "none"  # where who is new to the log comes from


@dataclass(frozen=True)
class Chosen:
    """Whose users are wanted: one of state, layer, tag and segment. `at`: an instant of the
    period, or RFM's own."""

    state: str | None = None
    layer: str | None = None
    tag: str | None = None
    segment: str | None = None
    came_from: str | None = None
    at: datetime | None = None
    period: str | None = None

    @property
    def anything(self) -> bool:
        return bool(self.named or self.came_from)

    @property
    def named(self) -> dict[str, str]:
        every = {name: getattr(self, name) for name in ("state", "layer", "tag", "segment")}
        return {name: value for name, value in every.items() if value is not None}


def chosen_users(
    settings: Settings,
    store: EventStore,
    device: Device,
    path: Path | None,
    chosen: Chosen,
    *,
    cluster: Cluster = IN_PROCESS,
) -> dict[str, Any]:
    """What was chosen, the file that was written and its rows. Raises UsageError."""
    if len(chosen.named) != 1:
        raise UsageError("name one of --state, --layer, --tag and --segment whose users are wanted")
    ((kind, name),) = chosen.named.items()
    if chosen.came_from is not None and kind != "layer":
        raise UsageError("--from goes with --layer: users come from a layer to a layer")
    if path is None:
        raise UsageError(f"--{kind} is for a list of users; add --users FILE")
    check_list(path)
    at = chosen.at
    if kind == "state" and at is None:
        raise UsageError("--state needs the period: add --at with a day of it")
    if kind == "state" and at is not None:
        users = state_users(settings, store, device, name, at, path, chosen.period, cluster=cluster)
    elif kind == "segment":
        users = rfm_users(settings, store, device, name, path, at=at, cluster=cluster)
    else:
        users = layer_users(settings, store, device, path, chosen, cluster=cluster)
    return {kind: name, "from": chosen.came_from, "file": str(path), "users": users}


def state_users(
    settings: Settings,
    store: EventStore,
    device: Device,
    state: str,
    at: datetime,
    path: Path,
    period: str | None = None,
    *,
    cluster: Cluster = IN_PROCESS,
) -> int:
    """Who is in a state in the period that `at` falls in: user_id. Returns how many.

    Raises UsageError; for "dormant" in a period that has not ended too.
    """
    known = known_period(period or settings.lifecycle.period)
    code = _known(state, STATES, "state")
    number = period_holding(at, store, known, settings.project.timezone)
    if state == "dormant" and _at_end_of(store, settings, known, number).ends_open:
        raise UsageError(
            f"state 'dormant' at {at:%Y-%m-%d}: this {known} has not ended; choose an earlier one"
        )

    def plan(events: pl.LazyFrame, bucket: int) -> pl.LazyFrame:
        states = states_plan(events, settings, known, in_order=store.in_order(bucket))
        here = (pl.col("number") == number) & (pl.col("state") == code)
        return states.filter(here).select("user_id")

    return write_users(plan, store, device, path, cluster)


def layer_users(
    settings: Settings,
    store: EventStore,
    device: Device,
    path: Path,
    chosen: Chosen,
    *,
    cluster: Cluster = IN_PROCESS,
) -> int:
    """Who stands in a layer, or has a tag, at the end of the period that `at` falls in (default:
    the last one), and with `came_from` stood in that one at the end of the period before ("none":
    was not known yet). As CSV: user_id, layer, and the MEASURES. Returns how many.

    Raises UsageError.
    """
    known = known_period(chosen.period or settings.lifecycle.period)
    zone = settings.project.timezone
    moment = store.covered_until - MICROSECOND if chosen.at is None else chosen.at
    last = period_holding(moment, store, known, zone)
    asked = Asked.of(settings, store, _at_end_of(store, settings, known, last))
    wanted = _wanted(settings, chosen.layer, chosen.tag, chosen.came_from)
    learned = learn(asked, rules_of(settings), store, device, cluster)

    def plan(events: pl.LazyFrame, bucket: int) -> pl.LazyFrame:
        standing = standing_plan(events, settings, asked, learned, in_order=store.in_order(bucket))
        before = pl.when(~pl.col("fresh")).then(pl.col("layer").shift(1)).otherwise(NOT_YET)
        here = standing.with_columns(before=before).filter((pl.col("place") == 1) & wanted)
        return here.select("user_id", _named(settings.lifecycle.layers).alias("layer"), *MEASURES)

    return write_users(plan, store, device, path, cluster)


def layers_now(
    settings: Settings, store: EventStore, device: Device, *, cluster: Cluster = IN_PROCESS
) -> pl.DataFrame:
    """Where everybody stands where the log ends: user_id and layer, a row a user."""
    known = known_period(settings.lifecycle.period)
    here = period_holding(
        store.covered_until - MICROSECOND, store, known, settings.project.timezone
    )
    asked = Asked.of(settings, store, _at_end_of(store, settings, known, here))
    learned = learn(asked, rules_of(settings), store, device, cluster)

    def plan(events: pl.LazyFrame, bucket: int) -> pl.LazyFrame:
        standing = standing_plan(events, settings, asked, learned, in_order=store.in_order(bucket))
        layer = _named(settings.lifecycle.layers)
        return standing.filter(pl.col("place") == 1).select("user_id", layer=layer)

    return pl.concat(
        each_bucket(plan, store, device, "layers now", with_bucket=True, cluster=cluster)
    )


def rfm_users(
    settings: Settings,
    store: EventStore,
    device: Device,
    segment: str,
    path: Path,
    *,
    at: datetime | None = None,
    cluster: Cluster = IN_PROCESS,
) -> int:
    """Who is in a cell, told by its three scores as in "5-4-5": user_id, the scores,
    value. Returns how many. Raises UsageError."""
    scores = segment.split("-")
    if len(scores) != len(PARTS) or not all(score.isdigit() for score in scores):
        raise UsageError(
            f"segment '{segment}': write the scores of {', '.join(PARTS)} as in '5-4-5'"
        )
    moment = instant_in(store, at)
    scales = learn_scales(settings, store, device, moment, cluster)
    here = pl.lit(value=True)
    for name, score in zip(PARTS, scores, strict=True):
        here &= pl.col(name) == int(score)

    def plan(events: pl.LazyFrame, _: int) -> pl.LazyFrame:
        scored = scored_plan(events, settings, moment, scales)
        return scored.filter(here).select("user_id", *PARTS, "value")

    return write_users(plan, store, device, path, cluster)


def write_users(
    plan: BucketPlan, store: EventStore, device: Device, path: Path, cluster: Cluster
) -> int:
    parts = each_bucket(plan, store, device, "users", with_bucket=True, cluster=cluster)
    return write_list(path, parts)


def _at_end_of(store: EventStore, settings: Settings, period: Period, number: int) -> Instants:
    zone = settings.project.timezone
    return Instants(period, zone, number - 1, number, store.covered_until)


def _wanted(
    settings: Settings, layer: str | None, tag: str | None, came_from: str | None
) -> pl.Expr:
    if layer is None:
        bit = _known(str(tag), _names(settings.lifecycle.tags), "tag")
        return pl.col("tags") // (1 << bit) % 2 == 1
    layers = [*_names(settings.lifecycle.layers), OTHER]
    wanted = pl.col("layer") == _known(layer, layers, "layer")
    if came_from is not None:
        code = NOT_YET if came_from == NOBODY else _known(came_from, [*layers, NOBODY], "layer")
        wanted &= pl.col("before") == code
    return wanted


def _names(rules: tuple[Rule, ...]) -> list[str]:
    return [rule.name for rule in rules]


def _named(rules: tuple[Rule, ...]) -> pl.Expr:
    named = pl.lit(OTHER)
    for code, rule in enumerate(rules):
        named = pl.when(pl.col("layer") == code).then(pl.lit(rule.name)).otherwise(named)
    return named


def _known(name: str, names: list[str] | tuple[str, ...], called: str) -> int:
    """The position of a name. Raises UsageError."""
    if name not in names:
        raise UsageError(f"{called} '{name}' is not known; choose one of {', '.join(names)}")
    return names.index(name)
