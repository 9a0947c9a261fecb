"""A log cut in two at a cutoff, and the ways in which rows that were not known are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

import polars as pl

from events.contract import TIME
from events.users import VALID_FROM

DAY = timedelta(days=1)
LATER = timedelta(hours=27)  # no local clock is as far from UTC as that


@dataclass(frozen=True)
class Log:
    """`events` as the store scans them, `users` as scan_users does; more columns may be there."""

    events: pl.DataFrame
    users: pl.DataFrame | None = None


@dataclass(frozen=True)
class Scene:
    """A log at a cutoff. The known rows keep their order in every log made from it."""

    log: Log
    cutoff: datetime

    @cached_property
    def known(self) -> pl.DataFrame:
        return self.log.events.filter(self._is_known)

    @cached_property
    def later(self) -> pl.DataFrame:
        return self.log.events.filter(~self._is_known)

    @property
    def _is_known(self) -> pl.Expr:
        known = pl.col("ts") < self.cutoff
        if "received" in self.log.events.columns:
            known &= pl.col("received").is_null() | (pl.col("received") < self.cutoff)
        return known

    @cached_property
    def last(self) -> pl.DataFrame:
        """Each user's last known event."""
        order = self.known.sort("ts", maintain_order=True)
        return order.unique("user_id", keep="last", maintain_order=True)

    @cached_property
    def span(self) -> tuple[datetime, datetime]:
        """Where events are added after t: from its first event, but more than a day after t (the
        hours before are a world of their own), to its last, but two months at the least."""
        later = self.later.filter(pl.col("ts") >= self.cutoff)
        first, last = later.select(first=pl.col("ts").min(), last=pl.col("ts").max()).row(0)
        start, end = self.cutoff + LATER, self.cutoff + 60 * DAY
        return (start, end) if first is None else (max(first, start), max(last, end))

    @cached_property
    def future(self) -> pl.DataFrame:
        """The rows not known before t; of a log without any, each user's last event again."""
        if self.later.height:
            return self.later
        return repeated(fresh(self.last, self), self.span)

    def with_events(self, events: pl.DataFrame) -> Log:
        return replace(self.log, events=events)

    def with_future(self, future: pl.DataFrame) -> Log:
        """What was known, and another future."""
        columns = self.known.columns
        return self.with_events(pl.concat([self.known, future.select(columns)]))

    def with_more(self, rows: pl.DataFrame) -> Log:
        """The log as it is, and more rows that were not known."""
        columns = self.log.events.columns
        return self.with_events(pl.concat([self.log.events, rows.select(columns)]))

    def with_users(self, users: pl.DataFrame) -> Log:
        return replace(self.log, users=users)


def numbers_of(rows: pl.DataFrame) -> list[str]:
    return [n for n, kind in rows.schema.items() if kind.is_numeric() and n != "bucket"]


def texts_of(rows: pl.DataFrame) -> list[str]:
    """The columns of names: all texts that do not tell one user or event from another."""
    own = ("user_id", "event_id")
    return [n for n, kind in rows.schema.items() if kind == pl.String and n not in own]


def dates_of(users: pl.DataFrame) -> list[str]:
    return [n for n, kind in users.schema.items() if kind == TIME and n != VALID_FROM]


def repeated(rows: pl.DataFrame, instants: Sequence[datetime]) -> pl.DataFrame:
    """The rows at each of the instants, known at once."""
    times = pl.DataFrame({"ts": pl.Series(list(dict.fromkeys(instants)), dtype=TIME)})
    copies = rows.drop("ts").join(times, how="cross").select(rows.columns)
    if "received" in rows.columns:
        return copies.with_columns(received=pl.lit(None, TIME))
    return copies


def fresh(rows: pl.DataFrame, scene: Scene) -> pl.DataFrame:
    """The rows as events of their own: other ids, and amounts halfway to the mean, so that they
    are neither duplicates nor extremes."""
    floats = [n for n in numbers_of(rows) if rows.schema[n].is_float()]
    means = scene.known.select(pl.col(floats).mean()).row(0, named=True) if floats else {}
    halfway = [((pl.col(name) + means[name]) / 2).alias(name) for name in floats]
    if rows.schema.get("event_id") == pl.String:
        halfway.append(pl.concat_str(pl.lit("leakcheck "), pl.col("event_id")).alias("event_id"))
    return rows.with_columns(halfway)


def changed(users: pl.DataFrame, scene: Scene) -> pl.DataFrame:
    """The users with other attributes, and with dates that lie before t."""
    kept = ("user_id", "bucket", VALID_FROM)
    return users.with_columns(
        _other(name, kind, scene) for name, kind in users.schema.items() if name not in kept
    )


def _other(name: str, kind: pl.DataType, scene: Scene) -> pl.Expr:
    column = pl.col(name)
    if kind == TIME:
        return pl.lit(scene.cutoff - DAY, TIME).alias(name)
    if kind == pl.Boolean:
        return (~column).fill_null(value=True).alias(name)
    if kind.is_numeric():
        return (1000 - 3 * column).fill_null(1000).cast(kind).alias(name)
    if kind == pl.String:
        return pl.concat_str(column.fill_null("none"), pl.lit(" changed")).alias(name)
    return pl.lit(None, kind).alias(name)
