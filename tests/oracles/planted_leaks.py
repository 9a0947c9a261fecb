"""Features that look ahead, each as somebody in good faith writes them, and a log to hide in.

The log's future is deceptive: it begins ten days after the cutoff, nobody is new in it, it has
no new name, no larger amount, no event twice. Most of these leaks change nothing on it as it is.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import polars as pl
from oracles.features_logs import T, events_frame

from events.contract import TIME
from events.users import VALID_FROM
from features.attributes import valid_at
from features.leakcheck import Compute
from features.leakcheck_rows import Log
from features.time import Cutoff

DAY = timedelta(days=1)
CUTOFF = Cutoff(T)
NAMES = tuple(f"u{number:02d}" for number in range(12))
Users = Literal["none", "plain", "in time"]
Rule = Callable[[pl.LazyFrame, pl.LazyFrame, pl.LazyFrame | None, datetime], pl.LazyFrame]


def deceptive_log(users: Users = "none") -> Log:
    chance = random.Random(3)
    rows: list[dict[str, Any]] = []
    for number, name in enumerate(NAMES):
        past = [T - chance.uniform(0.5, 60) * DAY for _ in range(8)]
        past.append(T - timedelta(minutes=5 + number))
        later = [T + (10 + number / 7) * DAY] if number % 2 else []
        for at in (*past, *later):
            row = {"user_id": name, "ts": at, "channel": chance.choice(("web", "app"))}
            event = chance.choice(("view", "buy")) if at < T else "view"
            rows.append(row | {"event": event, "amount": round(chance.uniform(1, 99), 2)})
    rows.append({**rows[0], "ts": T - 50 * DAY, "amount": 100.0})  # the largest of all
    frame = events_frame(rows).drop("bucket")
    at_once = pl.when(pl.int_range(pl.len()) == 0).then(pl.col("ts") + timedelta(seconds=1))
    return Log(frame.with_columns(received=at_once), _people(users))


def _people(users: Users) -> pl.DataFrame | None:
    if users == "none":
        return None
    rows: list[dict[str, Any]] = [
        {"user_id": name, "age": 20.0 + number, "plan": ("free", "gold")[number % 2]}
        for number, name in enumerate((*NAMES, "never seen"))
    ]
    rows[3]["left"] = T - 5 * DAY
    frame = pl.DataFrame(
        rows, {"user_id": pl.String, "age": pl.Float64, "plan": pl.String, "left": TIME}
    )
    if users == "plain":
        return frame
    newer = frame.with_columns(pl.lit(T - 3 * DAY, TIME).alias(VALID_FROM), age=pl.col("age") + 1)
    return pl.concat([frame.with_columns(pl.lit(None, TIME).alias(VALID_FROM)), newer])


def in_time(cutoff: datetime) -> pl.Expr:
    return pl.col("received").is_null() | (pl.col("received") < cutoff)


def known(events: pl.LazyFrame, cutoff: datetime) -> pl.LazyFrame:
    return events.filter(pl.col("ts") < cutoff, in_time(cutoff))


def leaking(rule: Rule) -> Compute:
    """A rule gets the log, what is known of it, the users and the cutoff."""

    def compute(events: pl.LazyFrame, users: pl.LazyFrame | None, cutoff: Cutoff) -> pl.DataFrame:
        return rule(events, known(events, cutoff.at), users, cutoff.at).collect()

    return compute


def honest(
    events: pl.LazyFrame, past: pl.LazyFrame, users: pl.LazyFrame | None, t: datetime
) -> pl.LazyFrame:
    """Of every family something, and no leak."""
    mean = past.select(pl.col("amount").mean())
    edges = past.select(pl.col("amount").quantile(0.5))
    people = (
        past.sort("ts")
        .group_by("user_id")
        .agg(
            count=pl.len(),
            month=((pl.col("ts") >= t - 30 * DAY).sum()),
            scaled=pl.col("amount").sum() / mean.collect().item(),
            above=(pl.col("amount") > edges.collect().item()).sum(),
            last=pl.col("event").last(),
            gaps=pl.col("ts").diff().dt.total_seconds().mean(),
            hours=pl.col("ts").dt.hour(),
        )
    )
    people = people.with_columns(rank=pl.col("count").rank() / pl.len())
    if users is None:
        return people
    gone = (pl.col("left") < t).fill_null(value=False)
    mine = valid_at(users, t).select("user_id", "age", "plan", gone=gone)
    return people.join(mine, on="user_id", how="left")


def inclusive_cutoff(events: pl.LazyFrame, past: Any, users: Any, t: datetime) -> pl.LazyFrame:
    return events.filter(pl.col("ts") <= t, in_time(t)).group_by("user_id").len()


def vocabulary_of_events(
    events: pl.LazyFrame, past: pl.LazyFrame, users: Any, t: datetime
) -> pl.LazyFrame:
    names = sorted(events.select(pl.col("event").unique()).collect()["event"])
    return past.group_by("user_id").agg(
        (pl.col("event") == name).sum().alias(name) for name in names
    )


def vocabulary_of_channels(
    events: pl.LazyFrame, past: pl.LazyFrame, users: Any, t: datetime
) -> pl.LazyFrame:
    codes = sorted(events.select(pl.col("channel").unique()).collect()["channel"])
    share = (pl.col("channel") == codes[0]).sum() / len(codes)
    return past.group_by("user_id").agg(smoothed_share=share)


def scaled_by_mean(
    events: pl.LazyFrame, past: pl.LazyFrame, users: Any, t: datetime
) -> pl.LazyFrame:
    mean, spread = events.select(pl.col("amount").mean(), s=pl.col("amount").std()).collect().row(0)
    return past.group_by("user_id").agg(spent=(pl.col("amount").sum() - mean) / spread)


def scaled_by_largest(
    events: pl.LazyFrame, past: pl.LazyFrame, users: Any, t: datetime
) -> pl.LazyFrame:
    largest = events.select(pl.col("amount").max()).collect().item()
    return past.group_by("user_id").agg(spent=pl.col("amount").sum() / largest)


def late_arrival(events: pl.LazyFrame, past: Any, users: Any, t: datetime) -> pl.LazyFrame:
    return events.filter(pl.col("ts") < t).group_by("user_id").len()


def time_zone_shift(events: pl.LazyFrame, past: Any, users: Any, t: datetime) -> pl.LazyFrame:
    local = pl.col("ts").dt.convert_time_zone("America/New_York").dt.replace_time_zone(None)
    rows = events.filter(local < t.replace(tzinfo=None), in_time(t))
    return rows.group_by("user_id").len()


def encoding_by_label(
    events: pl.LazyFrame, past: pl.LazyFrame, users: Any, t: datetime
) -> pl.LazyFrame:
    inside = (pl.col("ts") >= t) & (pl.col("ts") < t + 30 * DAY)
    active = events.filter(inside).select("user_id").unique().with_columns(churn=0)
    last = past.sort("ts").group_by("user_id").agg(pl.col("channel").last())
    labelled = last.join(active, on="user_id", how="left").with_columns(
        pl.col("churn").fill_null(1)
    )
    return labelled.select("user_id", encoded=pl.col("churn").mean().over("channel"))


def encoding_by_loyalty(
    events: pl.LazyFrame, past: pl.LazyFrame, users: Any, t: datetime
) -> pl.LazyFrame:
    days = (
        events.filter(pl.col("ts") >= t)
        .group_by("user_id")
        .agg(loyal=pl.col("ts").dt.date().n_unique() >= 5)
    )
    last = past.sort("ts").group_by("user_id").agg(pl.col("channel").last())
    labelled = last.join(days, on="user_id", how="left")
    loyal = pl.col("loyal").fill_null(value=False).mean()
    return labelled.select("user_id", encoded=loyal.over("channel"))


def attribute_of_today(
    events: Any, past: pl.LazyFrame, users: pl.LazyFrame | None, t: datetime
) -> pl.LazyFrame:
    assert users is not None
    newest = users.sort("user_id", VALID_FROM).unique("user_id", keep="last", maintain_order=True)
    return past.select("user_id").unique().join(newest.select("user_id", "age"), on="user_id")


def eligible_by_latest_date(
    events: Any, past: pl.LazyFrame, users: pl.LazyFrame | None, t: datetime
) -> pl.LazyFrame:
    assert users is not None
    newest = users.sort("user_id", VALID_FROM).unique("user_id", keep="last", maintain_order=True)
    gone = newest.filter(pl.col("left") < t)
    return past.join(gone, on="user_id", how="anti").group_by("user_id").len()


def duplicates_across(events: pl.LazyFrame, past: Any, users: Any, t: datetime) -> pl.LazyFrame:
    same = ["user_id", "event", "amount", "channel"]
    newest = events.sort("ts").unique(same, keep="last", maintain_order=True)
    return known(newest, t).group_by("user_id").len()


def session_across(events: pl.LazyFrame, past: Any, users: Any, t: datetime) -> pl.LazyFrame:
    rows = events.filter(in_time(t)).sort("user_id", "ts")
    begins = (pl.col("ts").diff().over("user_id") > timedelta(minutes=30)).fill_null(value=True)
    rows = rows.with_columns(session=begins.cast(pl.Int64).cum_sum())
    sessions = rows.group_by("user_id", "session").agg(
        start=pl.col("ts").min(), length=(pl.col("ts").max() - pl.col("ts").min())
    )
    seconds = pl.col("length").dt.total_seconds()
    return sessions.filter(pl.col("start") < t).group_by("user_id").agg(longest=seconds.max())


def backfilled_amounts(events: pl.LazyFrame, past: Any, users: Any, t: datetime) -> pl.LazyFrame:
    filled = pl.col("amount").backward_fill().over("user_id", order_by="ts")
    blanked = (
        pl.when(pl.col("ts").rank().over("user_id") == 9).then(None).otherwise(pl.col("amount"))
    )
    rows = events.with_columns(amount=blanked).with_columns(amount=filled)
    return known(rows, t).group_by("user_id").agg(spent=pl.col("amount").sum())


def cohort_statistics(
    events: pl.LazyFrame, past: pl.LazyFrame, users: Any, t: datetime
) -> pl.LazyFrame:
    people = events.group_by("user_id").agg(first=pl.col("ts").min(), count=pl.len())
    cohort = pl.col("first").dt.truncate("1mo")
    people = people.with_columns(usual=pl.col("count").mean().over(cohort))
    mine = past.group_by("user_id").len()
    return mine.join(people, on="user_id").select("user_id", pl.col("len") / pl.col("usual"))


def quantile_edges(
    events: pl.LazyFrame, past: pl.LazyFrame, users: Any, t: datetime
) -> pl.LazyFrame:
    edge = events.select(pl.col("amount").quantile(0.75, "linear")).collect().item()
    return past.group_by("user_id").agg(above=pl.col("amount").max() - edge)


def rank_among_all(
    events: pl.LazyFrame, past: pl.LazyFrame, users: Any, t: datetime
) -> pl.LazyFrame:
    arrived = events.filter(in_time(t))
    everyone = arrived.select(pl.col("user_id").n_unique()).collect().item()
    mine = past.group_by("user_id").len()
    return mine.select("user_id", rank=pl.col("len").rank() / everyone)


def next_event(events: pl.LazyFrame, past: Any, users: Any, t: datetime) -> pl.LazyFrame:
    step = pl.col("ts").shift(-1).over("user_id", order_by="ts") - pl.col("ts")
    rows = known(events.with_columns(step=step), t).sort("ts")
    return rows.group_by("user_id").agg(pl.col("step").last())


def end_of_the_log(
    events: pl.LazyFrame, past: pl.LazyFrame, users: Any, t: datetime
) -> pl.LazyFrame:
    matured = events.select(pl.col("ts").max()).collect().item() >= t + DAY
    return past.group_by("user_id").agg(pl.len(), matured=pl.lit(value=matured))


def within_the_gap(
    events: pl.LazyFrame, past: pl.LazyFrame, users: Any, t: datetime
) -> pl.LazyFrame:
    inside = (pl.col("ts") >= t + 2 * DAY) & (pl.col("ts") < t + 5 * DAY)
    answered = events.filter(inside).select("user_id").unique().with_columns(answered=1)
    return past.select("user_id").unique().join(answered, on="user_id", how="left")


def the_next_day(events: pl.LazyFrame, past: pl.LazyFrame, users: Any, t: datetime) -> pl.LazyFrame:
    inside = (pl.col("ts") > t) & (pl.col("ts") <= t + DAY)
    seen = events.filter(inside).group_by("user_id").agg(seen=pl.len())
    return past.select("user_id").unique().join(seen, on="user_id", how="left")


def categories_of_everyone(
    events: Any, past: pl.LazyFrame, users: pl.LazyFrame | None, t: datetime
) -> pl.LazyFrame:
    assert users is not None
    plans = sorted(users.select(pl.col("plan").unique()).collect()["plan"])
    mine = past.select("user_id").unique().join(users, on="user_id", how="left")
    return mine.select("user_id", *((pl.col("plan") == p).alias(f"is {p}") for p in plans))


def date_to_come(
    events: Any, past: pl.LazyFrame, users: pl.LazyFrame | None, t: datetime
) -> pl.LazyFrame:
    assert users is not None
    mine = past.select("user_id").unique().join(users, on="user_id", how="left")
    return mine.select("user_id", known_to_leave=pl.col("left").is_not_null())


def no_such_name(events: pl.LazyFrame, past: pl.LazyFrame, users: Any, t: datetime) -> pl.LazyFrame:
    coded = pl.col("channel").replace_strict({"web": 0, "app": 1})
    rows = events.with_columns(code=coded).collect().lazy()
    return known(rows, t).group_by("user_id").agg(pl.col("code").sum())


def by_chance(events: Any, past: pl.LazyFrame, users: Any, t: datetime) -> pl.LazyFrame:
    noise = pl.lit(random.SystemRandom().random())
    return past.group_by("user_id").agg(jittered=pl.len() + noise)


@dataclass(frozen=True)
class Planted:
    """`caught_by`: every world that betrays it on the deceptive log."""

    rule: Rule
    caught_by: frozenset[str]
    users: Users = "none"

    def __str__(self) -> str:
        return self.rule.__name__


def _planted(rule: Rule, *caught_by: str, users: Users = "none") -> Planted:
    return Planted(rule, frozenset(caught_by), users)


ANY_EVENT = ("active", "at", "cut", "late", "newcomers", "repeats", "soon")
PLANTED = (
    _planted(inclusive_cutoff, "at"),
    _planted(vocabulary_of_events, "names", "late"),
    _planted(vocabulary_of_channels, "names"),
    _planted(scaled_by_mean, "active", "amounts", "at", "cut", "late", "repeats", "soon"),
    _planted(scaled_by_largest, "amounts"),
    _planted(late_arrival, "late"),
    _planted(time_zone_shift, "at", "soon"),
    _planted(encoding_by_label, "active", "at", "cut", "newcomers", "soon"),
    _planted(encoding_by_loyalty, "active"),
    _planted(attribute_of_today, "attributes", users="in time"),
    _planted(eligible_by_latest_date, "attributes", users="in time"),
    _planted(duplicates_across, "repeats"),
    _planted(session_across, "at", "soon"),
    _planted(backfilled_amounts, *ANY_EVENT, "amounts"),
    _planted(cohort_statistics, *ANY_EVENT),
    _planted(quantile_edges, "active", "amounts", "at", "cut", "late", "repeats", "soon"),
    _planted(rank_among_all, "newcomers"),
    _planted(next_event, *ANY_EVENT, "moved"),
    _planted(end_of_the_log, "cut"),
    _planted(within_the_gap, "moved"),
    _planted(the_next_day, "soon"),
    _planted(categories_of_everyone, "strangers", users="plain"),
    _planted(date_to_come, "dates", users="plain"),
    _planted(no_such_name, "names"),
    _planted(by_chance, "again"),
)

# The twelve that the detector was asked to know, in the words in which they were named.
ASKED_FOR = {
    "inclusive cutoff": inclusive_cutoff,
    "vocabulary over all time": vocabulary_of_events,
    "a scaler fitted over all time": scaled_by_mean,
    "late arrival": late_arrival,
    "time zone shift": time_zone_shift,
    "global encoding of a category by its label": encoding_by_label,
    "user attribute from after the cutoff": attribute_of_today,
    "duplicate removal across the cutoff": duplicates_across,
    "session that spans it": session_across,
    "backfilled amounts": backfilled_amounts,
    "cohort statistics over all time": cohort_statistics,
    "quantile edges over all time": quantile_edges,
}
