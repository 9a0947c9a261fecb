"""The altered worlds of the leak check: each agrees with the log on all that was known before t.

An event is known before t where it happened and was received before t (`received`: null for at
once; a log without that column knows everything at once). A row of the users table is known
where it is valid from before t; without VALID_FROM, where its user had a known event. A date
that lies at or after t is known to nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from events.contract import TIME
from events.users import VALID_FROM
from features.leakcheck_rows import (
    LATER,
    Log,
    Scene,
    changed,
    dates_of,
    fresh,
    numbers_of,
    repeated,
    texts_of,
)

DAY = timedelta(days=1)
# Fractions of the future at which the users are made active: dense at first, for short horizons.
SPREAD = (0.0, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
# Of a moment (precision), a session, and every offset between a local clock and UTC.
SOON = tuple(
    timedelta(seconds=seconds)
    for seconds in (1e-6, 1e-3, 1, 59, 120, 600, 1500, 3600, 10_800, 28_800, 50_400, 93_600)
)


@dataclass(frozen=True)
class World:
    """`alter` returns the altered log, or None where the log has nothing that it could alter."""

    name: str
    differs: str
    cause: str
    needs: str
    alter: Callable[[Scene], Log | None]


def _again(scene: Scene) -> Log:
    return scene.log


def _cut(scene: Scene) -> Log:
    return scene.with_events(scene.known)


def _at(scene: Scene) -> Log:
    return scene.with_more(repeated(fresh(scene.last, scene), [scene.cutoff]))


def _soon(scene: Scene) -> Log:
    instants = [scene.cutoff + after for after in SOON]
    return scene.with_more(repeated(fresh(scene.last, scene), instants))


def _moved(scene: Scene) -> Log:
    after = pl.col("ts") - scene.cutoff
    nearer = scene.cutoff + LATER + (after.dt.total_microseconds() // 10).cast(pl.Duration("us"))
    moved = pl.when(after >= timedelta(0)).then(nearer).otherwise(pl.col("ts"))
    return scene.with_future(scene.future.with_columns(moved.cast(TIME).alias("ts")))


def _amounts(scene: Scene) -> Log | None:
    names = numbers_of(scene.known)
    if not names:
        return None
    largest = scene.log.events.select(pl.col(names).abs().max().fill_null(0)).row(0, named=True)
    beyond = (
        (3 * pl.col(name).abs().fill_null(0) + 2 * largest[name] + 1).alias(name) for name in names
    )
    return scene.with_future(scene.future.with_columns(beyond).cast(scene.known.schema))


def _names(scene: Scene) -> Log | None:
    names = texts_of(scene.known)
    if not names:
        return None
    renamed = (
        pl.lit('{"leakcheck": 1}').alias(name)
        if name == "properties"
        else pl.concat_str(pl.col(name).fill_null("none"), pl.lit(" renamed")).alias(name)
        for name in names
    )
    return scene.with_future(scene.future.with_columns(renamed))


def _newcomers(scene: Scene) -> Log:
    others = pl.concat_str(pl.lit("leakcheck newcomer "), pl.col("user_id"))
    return scene.with_future(scene.future.with_columns(user_id=others))


def _active(scene: Scene) -> Log:
    start, end = scene.span
    instants = [start + share * (end - start) for share in SPREAD]
    kinds = scene.known.unique(["user_id", "event"], keep="last", maintain_order=True)
    return scene.with_more(repeated(fresh(kinds, scene), instants))


def _repeats(scene: Scene) -> Log:
    start, end = scene.span
    return scene.with_more(repeated(scene.known, [start + (end - start) / 2]))


def _late(scene: Scene) -> Log | None:
    """Events of long ago and of just before t that nobody has received yet, of newcomers too."""
    events = scene.log.events
    if "received" not in events.columns or not events["received"].count():
        return None  # nothing in this log is late
    first = scene.known.unique("user_id", keep="first", maintain_order=True)
    early = fresh(first, scene).with_columns(ts=pl.col("ts") - DAY)
    recent = repeated(fresh(scene.last, scene), [scene.cutoff - timedelta(microseconds=1)])
    strange = recent.with_columns(
        user_id=pl.concat_str(pl.lit("leakcheck latecomer "), pl.col("user_id")),
        event=pl.lit("leakcheck late"),
    )
    at = (early.with_columns(received=pl.lit(scene.cutoff, TIME)),)
    after = (
        r.with_columns(received=pl.lit(scene.cutoff + 3 * DAY, TIME)) for r in (recent, strange)
    )
    return scene.with_more(pl.concat([*at, *after]))


def _attributes(scene: Scene) -> Log | None:
    users = scene.log.users
    if users is None or VALID_FROM not in users.columns:
        return None
    later = (pl.col(VALID_FROM) >= scene.cutoff).fill_null(value=False)
    known, unknown = users.filter(~later), users.filter(later)
    newest = users.sort("user_id", VALID_FROM).unique("user_id", keep="last", maintain_order=True)
    added = [
        newest.with_columns(pl.lit(at, TIME).alias(VALID_FROM))
        for at in (scene.cutoff, scene.cutoff + DAY)
    ]
    rows = pl.concat([unknown, *added]).unique(
        ["user_id", VALID_FROM], keep="first", maintain_order=True
    )
    return scene.with_users(pl.concat([known, changed(rows, scene)]))


def _strangers(scene: Scene) -> Log | None:
    users = scene.log.users
    if users is None or VALID_FROM in users.columns:
        return None
    known = users.join(scene.known, on="user_id", how="semi", maintain_order="left")
    others = users.join(scene.known, on="user_id", how="anti", maintain_order="left")
    stranger = users.head(1).with_columns(user_id=pl.lit("leakcheck stranger"))
    return scene.with_users(pl.concat([known, changed(pl.concat([others, stranger]), scene)]))


def _dates(scene: Scene) -> Log | None:
    users = scene.log.users
    if users is None or not dates_of(users):
        return None
    turn = pl.int_range(pl.len()) % 3
    altered = (
        pl.when((pl.col(name) >= scene.cutoff) & (turn == 0))
        .then(None)
        .when(pl.col(name) >= scene.cutoff)
        .then(pl.col(name) + 30 * DAY)
        .when(pl.col(name).is_null() & (turn == 1))
        .then(pl.lit(scene.cutoff, TIME))
        .when(pl.col(name).is_null() & (turn == 2))  # noqa: PLR2004
        .then(pl.lit(scene.cutoff + 5 * DAY, TIME))
        .otherwise(pl.col(name))
        .alias(name)
        for name in dates_of(users)
    )
    return scene.with_users(users.with_columns(altered))


AGAIN = World(
    "again",
    "nothing: the same log again",
    "the features are not reproducible (random, or they depend on the clock or on chance order)",
    "",
    _again,
)

WORLDS: tuple[World, ...] = (
    World(
        "cut",
        "there is no event at or after the cutoff",
        "something reads the log beyond the cutoff: a statistic, a rank, a shift, the log's end",
        "an event at or after the cutoff",
        _cut,
    ),
    World(
        "at",
        "every user has an event exactly at the cutoff",
        "the cutoff is inclusive: '<=' where '<' belongs, or a closed window",
        "a user",
        _at,
    ),
    World(
        "soon",
        "every user has events from a microsecond to 26 hours after the cutoff",
        "times are in another time zone or rounded, or a session or window runs over the cutoff",
        "a user",
        _soon,
    ),
    World(
        "moved",
        "the events after the cutoff come sooner and at other hours",
        "times after the cutoff are read: the label's span, a next event, a window off by days",
        "a user",
        _moved,
    ),
    World(
        "amounts",
        "the amounts after the cutoff are others, and larger",
        "a scaler, quantile edge, maximum or backfill reads amounts over all time",
        "a column of numbers",
        _amounts,
    ),
    World(
        "names",
        "the events, channels and properties after the cutoff have other names",
        "a vocabulary or encoding of names is learned over all time",
        "a column of names",
        _names,
    ),
    World(
        "newcomers",
        "the events after the cutoff are of new users, those before fall silent",
        "a count, rank or share over users counts those who came after the cutoff",
        "a user",
        _newcomers,
    ),
    World(
        "active",
        "every user is active again and again after the cutoff",
        "the label is read: an encoding by label, a cohort or group statistic over all time",
        "a user",
        _active,
    ),
    World(
        "repeats",
        "every event happens once more after the cutoff, equal in all but its time",
        "duplicates are removed across the cutoff and the later one is kept",
        "a user",
        _repeats,
    ),
    World(
        "late",
        "events of before the cutoff are received only at it and after",
        "'received' is not looked at: an event counts from when it happened, not from when it "
        "was known",
        "an event with 'received'",
        _late,
    ),
    World(
        "attributes",
        "other attributes become valid at the cutoff and after",
        "a user's latest attributes are read, not those valid before the cutoff",
        "a users table with 'valid_from'",
        _attributes,
    ),
    World(
        "strangers",
        "users without an event before the cutoff have other attributes",
        "categories, means or ranks are learned from the whole users table",
        "a users table without 'valid_from'",
        _strangers,
    ),
    World(
        "dates",
        "the users' dates at or after the cutoff are others, and there are more",
        "a date is read that has not come yet: that it is known, or how far off it is",
        "a users table with dates",
        _dates,
    ),
)
