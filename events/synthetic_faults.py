"""Wrong tracking, planted in the synthetic world's files and listed, so that it can be found.

Nothing here touches what billing says, so amounts and cancellations are those of the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from events.synthetic_world import World

DUPLICATED_SHARE, LOST_SHARE, LATE_SHARE = 0.01, 0.02, 0.3
STRAY_SHARE = 0.0002
CLOCK_AHEAD = timedelta(hours=7)
EPOCH = datetime(1970, 1, 1)
FAR_FUTURE = datetime(2261, 1, 1)
DOUBLED_IDS = 1 << 52  # added to the id of a row that was sent twice as if it were two

FAULTS: dict[str, pl.DataType] = {
    "kind": pl.String(),
    "event": pl.String(),
    "channel": pl.String(),
    "from": pl.Datetime("ms"),
    "to": pl.Datetime("ms"),
    "rows": pl.Int64(),
}
Planted = tuple[pl.DataFrame, pl.DataFrame]  # the rows as tracked, the rows of FAULTS


def plant(world: World, rows: pl.DataFrame) -> Planted:
    """`rows` of a block (event_id, user_id, ts in ms, event, channel, item ..., `late` false)
    with every fault in it, and the list of what was planted.

    What befalls a row depends on the seed and its id alone, so on no other user."""
    if not world.faults:
        return rows, pl.DataFrame(schema=FAULTS)
    listed = []
    steps: tuple[Callable[[World, pl.DataFrame], Planted], ...] = (
        _lost,
        _day_without_an_event,
        _day_with_an_event_doubled,
        _clock_ahead,
        _strays,
        _late,
        _duplicates,
        _type_change,
    )
    for step in steps:
        rows, planted = step(world, rows)
        listed.append(planted)
    return rows, pl.concat(listed)


def type_changes_on(world: World) -> datetime:
    """From this day on the web sends `item` as text ("item-7") where it sent a number."""
    return _day(world, 0.7)


def _lost(world: World, rows: pl.DataFrame) -> Planted:
    """A share of the web's plays never arrives, all through."""
    hit = (_drawn(world, rows, 0) < LOST_SHARE) & _is(rows, "web", "play")
    return rows.filter(~hit), _listed("missing", "play", "web", world, rows.filter(hit))


def _day_without_an_event(world: World, rows: pl.DataFrame) -> Planted:
    day = _day(world, 0.55)
    hit = _is(rows, "app", "search") & _within(rows, day, 1)
    return rows.filter(~hit), _listed("no event", "search", "app", world, rows.filter(hit), day, 1)


def _day_with_an_event_doubled(world: World, rows: pl.DataFrame) -> Planted:
    day = _day(world, 0.62)
    hit = _is(rows, "app", "view") & _within(rows, day, 1)
    again = rows.filter(hit).with_columns(pl.col("event_id") + DOUBLED_IDS)
    return pl.concat([rows, again]), _listed("doubled", "view", "app", world, again, day, 1)


def _clock_ahead(world: World, rows: pl.DataFrame) -> Planted:
    """For ten days some of the app's devices are hours ahead."""
    day = _day(world, 0.4)
    some = rows["user_id"].str.slice(-1).is_in(["3", "7"])
    hit = some & (rows["channel"] == "app") & _within(rows, day, 10)
    moved = rows.with_columns(pl.when(hit).then(pl.col("ts") + CLOCK_AHEAD).otherwise("ts"))
    return moved, _listed("clock ahead", None, "app", world, rows.filter(hit), day, 10)


def _strays(world: World, rows: pl.DataFrame) -> Planted:
    """A few devices have forgotten the date: 1970, or a far future."""
    hit = (_drawn(world, rows, 1) < STRAY_SHARE) & (rows["channel"] == "app")
    past = _drawn(world, rows, 4) < 1 / 2
    wrong = pl.when(past).then(pl.lit(EPOCH)).otherwise(pl.lit(FAR_FUTURE)).cast(rows.schema["ts"])
    moved = rows.with_columns(pl.when(hit).then(wrong).otherwise("ts").alias("ts"))
    return moved, _listed("stray clock", None, "app", world, rows.filter(hit))


def _late(world: World, rows: pl.DataFrame) -> Planted:
    """Of two weeks of the web a part arrives in a file of its own, later than the rest."""
    day = _day(world, 0.8)
    hit = (
        (_drawn(world, rows, 2) < LATE_SHARE) & (rows["channel"] == "web") & _within(rows, day, 14)
    )
    late = rows.with_columns(late=hit)
    return late, _listed("late", None, "web", world, rows.filter(hit), day, 14)


def _duplicates(world: World, rows: pl.DataFrame) -> Planted:
    """A share of what app and web send is sent twice, letter by letter."""
    hit = (_drawn(world, rows, 3) < DUPLICATED_SHARE) & rows["channel"].is_in(["app", "web"])
    again = rows.filter(hit)
    return pl.concat([rows, again]), _listed("duplicate", None, None, world, again)


def _type_change(world: World, rows: pl.DataFrame) -> Planted:
    """Changes nothing yet: the file's writer does, from `type_changes_on`."""
    day = type_changes_on(world)
    hit = (rows["channel"] == "web") & (rows["detail"] >= 0) & (rows["ts"] >= day)
    days = (world.end_at.replace(tzinfo=None) - day).days
    return rows, _listed("type of item", None, "web", world, rows.filter(hit), day, days)


def _drawn(world: World, rows: pl.DataFrame, purpose: int) -> pl.Series:
    """Uniform in [0, 1) by the row's id: SplitMix64's finalizer (Steele et al. 2014)."""
    salt = np.random.SeedSequence(world.seed, spawn_key=(purpose,)).generate_state(1, np.uint64)
    x = rows["event_id"].to_numpy().astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + salt
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return pl.Series((x ^ (x >> np.uint64(31))) >> np.uint64(11)) / 2**53


def _is(rows: pl.DataFrame, channel: str, event: str) -> pl.Series:
    return (rows["channel"] == channel) & (rows["event"] == event)


def _within(rows: pl.DataFrame, day: datetime, days: int) -> pl.Series:
    return (rows["ts"] >= day) & (rows["ts"] < day + timedelta(days=days))


def _day(world: World, share: float) -> datetime:
    """The midnight at a share of the world's length, without a zone, as the files have it."""
    return world.at(int(world.days * share)).replace(tzinfo=None)


def _listed(
    kind: str,
    event: str | None,
    channel: str | None,
    world: World,
    hit: pl.DataFrame,
    day: datetime | None = None,
    days: int = 0,
) -> pl.DataFrame:
    start = day or world.at(0).replace(tzinfo=None)
    end = start + timedelta(days=days or world.days)
    row = (kind, event, channel, start, end, hit.height)
    return pl.DataFrame([row], schema=FAULTS, orient="row")
