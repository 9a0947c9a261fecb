"""Everything that is counted of the tracking, by day, event and channel: one pass over the log."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from events.activity import is_active
from events.calendar import begins, period_at, period_of
from events.passes import summed
from events.store import EventStore
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.settings import Activity

CELL, EVENT, HOUR = "cell", "event", "hour"  # what a row of the counts is of
OTHER = "(other)"  # the channels beyond the most frequent
AHEAD_MINUTES = 5  # a clock may be off by so much
VISIT_MINUTES = 30  # a silence as long, or another channel, begins a visit: its rows are one habit
NUMBER = r"-?\d+(\.\d+)?([eE][+-]?\d+)?"
KEYS = ("part", "number", "event", "channel", "hour")


@dataclass(frozen=True)
class Asked:
    """`channels`: those told apart, by name or source; none where there is but one.
    `properties`: those looked at. `since`: rows before it are left out."""

    zone: str
    channels: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    activity: Activity = field(default_factory=Activity)
    late_hours: float = 24
    arrivals: bool = False
    repeats: bool = True
    since: datetime | None = None


def daily_plan(events: pl.LazyFrame, asked: Asked, *, in_order: bool = False) -> pl.LazyFrame:
    """Counts of one bucket, by part, number (of the day), event, channel and hour.

    "cell": rows, users, nulls (no amount), late (arrived more than so long after), ahead
    (arrived before), repeats (rows like another one in all but the id, less one), and of each
    property p `there:p` (rows that have it) and `number:p` (rows where it reads as a number).
    "event": users of all channels together. "hour": rows, here visits that begin in that hour
    with what `activity` says that users do.
    `in_order`: the rows lie by user and time.
    """
    rows = _marked(events if in_order else events.sort("user_id", "ts"), asked)
    by = ["number", "event", "channel"]
    counted = [pl.col(name).sum() for name in ("nulls", "late", "ahead", *_measures(asked))]
    users = pl.col("person").n_unique().cast(pl.Int64)
    cells = rows.group_by(by).agg(
        pl.len().cast(pl.Int64).alias("rows"), users.alias("users"), *counted
    )
    whole = rows.group_by("number", "event").agg(users=users)
    visits = (
        rows.filter("begins")
        .group_by("number", "channel", "hour")
        .agg(rows=pl.len().cast(pl.Int64))
    )
    parts = [(CELL, cells), (EVENT, whole), (HOUR, visits)]
    if asked.repeats:
        parts.append((CELL, _repeats(rows, by)))
    return pl.concat([_in_full(frame, part, asked) for part, frame in parts])


def _marked(ordered: pl.LazyFrame, asked: Asked) -> pl.LazyFrame:
    if asked.since is not None:
        ordered = ordered.filter(pl.col("ts") >= asked.since)
    same = (pl.col("user_id") == pl.col("user_id").shift()).fill_null(value=False)
    since = pl.col("ts").cast(pl.Int64) - pl.col("ts").shift().cast(pl.Int64)
    tied = (same & (since == 0)).fill_null(value=False)
    there = same & (place_of_row() == place_of_row().shift()).fill_null(value=False)
    begins = ~there | (since > VISIT_MINUTES * 60_000_000)
    local = pl.col("ts").dt.convert_time_zone(asked.zone)
    return ordered.select(
        "ts",
        "event",
        "amount",
        "properties",
        number=period_of(pl.col("ts"), "day", asked.zone),
        channel=_channel(asked),
        hour=local.dt.hour().cast(pl.Int32),
        person=(~same).cast(pl.Int64).cum_sum(),
        begins=begins & is_active(asked.activity),
        tied=tied | tied.shift(-1).fill_null(value=False),
        nulls=pl.col("amount").is_null().cast(pl.Int64),
        **_arrivals(asked),
        **_properties(asked),
    )


def _channel(asked: Asked) -> pl.Expr:
    if not asked.channels:
        return pl.lit(None, pl.String())
    place = place_of_row()
    known = place.is_in(list(asked.channels))
    return pl.when(known).then(place).otherwise(pl.lit(OTHER))


def place_of_row() -> pl.Expr:
    """The channel of a row, or its source where the row names none."""
    return pl.coalesce("channel", "source")


def _arrivals(asked: Asked) -> dict[str, pl.Expr]:
    if not asked.arrivals:
        return dict.fromkeys(("late", "ahead"), pl.lit(0, pl.Int64))
    took = pl.col("received").cast(pl.Int64) - pl.col("ts").cast(pl.Int64)
    late, ahead = took > asked.late_hours * 3_600_000_000, took < -AHEAD_MINUTES * 60_000_000
    return {
        "late": late.fill_null(value=False).cast(pl.Int64),
        "ahead": ahead.fill_null(value=False).cast(pl.Int64),
    }


def _properties(asked: Asked) -> dict[str, pl.Expr]:
    """Properties are one flat JSON object of texts (`events.columns.as_json_object`): quotes
    within a value are escaped, so a key and its value can be found as they stand."""
    found = {}
    text = pl.col("properties")
    for name in asked.properties:
        key = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '":"'
        there = text.str.contains(key, literal=True)
        number = text.str.contains(_quoted(key) + NUMBER + '"')
        found[f"there:{name}"] = there.fill_null(value=False).cast(pl.Int64)
        found[f"number:{name}"] = number.fill_null(value=False).cast(pl.Int64)
    return found


def _quoted(text: str) -> str:
    return "".join(c if c.isalnum() or ord(c) > 127 or c in '_ "' else "\\" + c for c in text)  # noqa: PLR2004


def _repeats(rows: pl.LazyFrame, by: list[str]) -> pl.LazyFrame:
    """Of rows of one user, instant, event, channel, amount and properties all but one."""
    same = ["person", "ts", *by, "amount", "properties"]
    counted = rows.filter("tied").group_by(same).agg(n=pl.len().cast(pl.Int64))
    return counted.filter(pl.col("n") > 1).group_by(by).agg(repeats=(pl.col("n") - 1).sum())


def _measures(asked: Asked) -> list[str]:
    return [f"{what}:{name}" for name in asked.properties for what in ("there", "number")]


def _in_full(frame: pl.LazyFrame, part: str, asked: Asked) -> pl.LazyFrame:
    """With all keys and measures, null or 0 where the part has none, in one order."""
    has = frame.collect_schema().names()
    types = {"number": pl.Int32(), "hour": pl.Int32()}
    blank = [
        pl.lit(None, types.get(name, pl.String())).alias(name)
        for name in KEYS
        if name not in (*has, "part")
    ]
    measures = ("rows", "users", "nulls", "late", "ahead", "repeats", *_measures(asked))
    zero = [pl.lit(0, pl.Int64).alias(name) for name in measures if name not in has]
    return frame.with_columns(pl.lit(part).alias("part"), *blank, *zero).select(*KEYS, *measures)


def count_daily(
    store: EventStore, asked: Asked, device: Device, cluster: Cluster = IN_PROCESS
) -> pl.DataFrame:
    """`daily_plan`'s counts over all users, sorted."""

    def plan(events: pl.LazyFrame, bucket: int) -> pl.LazyFrame:
        return daily_plan(events, asked, in_order=store.in_order(bucket))

    return summed(plan, store, device, by=KEYS, label="quality", with_bucket=True, cluster=cluster)


def whole_days(days: tuple[int, int], store: EventStore, zone: str) -> tuple[int, int]:
    """`days` (the first, and the one after the last) without a first day that the log enters
    midway and a last day that has not ended."""
    entered = period_at(store.first, "day", zone)
    if begins(entered, "day", zone) < store.first:
        entered += 1
    first = max(days[0], entered)
    return first, max(min(days[1], period_at(store.covered_until, "day", zone)), first)
