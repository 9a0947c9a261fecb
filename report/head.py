"""What to read first: how many users, how many left, what they bring, and what these words mean."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from events.activity import is_active
from events.passes import BucketPlan, summed
from events.users import scan_users
from features.definitions import Definitions, value_amount
from features.eligible import eligible_plan
from features.labels import label_plan
from features.matured import matured_cutoffs
from features.time import Cutoff
from report.asked import Asked
from report.parts import Fact, Section
from report.shown import NOTHING, count, day, instant, money, share
from retention.shares import with_share
from runtime.errors import LabelError

ACTIVE_DAYS = 30
_ALL = {"of": pl.lit(0, pl.Int32)}


@dataclass(frozen=True)
class Head:
    """`active`: in the last 30 days. `amount`: None where the log has none. `base`: of the users
    eligible at `cutoff`, the share that churned within its horizon, with low and high."""

    users: int
    events: int
    active: int
    amount: float | None
    cutoff: datetime | None
    eligible: int
    base: tuple[float, float, float] | None


def gather(asked: Asked) -> Head:
    since = asked.store.covered_until - timedelta(days=ACTIVE_DAYS)
    counts = _summed(asked, lambda events, _: counts_plan(events, asked, since), "head").row(
        0, named=True
    )
    cutoff, base = _newest_cutoff(asked), None
    eligible = 0
    if cutoff is not None:
        rows = _summed(asked, lambda e, bucket: base_plan(e, bucket, asked, cutoff), "base rate")
        eligible = int(rows["eligible"][0])
        found = with_share(rows, "churned", "eligible", pl.lit(value=True)).row(0, named=True)
        base = (found["share"], found["low"], found["high"]) if eligible else None
    return Head(
        users=counts["users"],
        events=counts["events"],
        active=counts["active"],
        amount=counts["amount"] if counts["amounts"] else None,
        cutoff=cutoff.at if cutoff else None,
        eligible=eligible,
        base=base,
    )


def _summed(asked: Asked, plan: BucketPlan, label: str) -> pl.DataFrame:
    return summed(
        plan,
        asked.store,
        asked.device,
        by=("of",),
        label=label,
        with_bucket=True,
        cluster=asked.cluster,
    )


def counts_plan(events: pl.LazyFrame, asked: Asked, since: datetime) -> pl.LazyFrame:
    """One row a bucket: users, events, active (users), amounts and their sum."""
    recent = is_active(asked.settings.activity) & (pl.col("ts") >= since)
    paid = value_amount(asked.settings.value)
    return events.select(
        **_ALL,
        users=pl.col("user_id").n_unique().cast(pl.Int64),
        events=pl.len().cast(pl.Int64),
        active=pl.col("user_id").filter(recent).n_unique().cast(pl.Int64),
        amounts=paid.count().cast(pl.Int64),
        amount=paid.filter(pl.col("ts") >= since).sum(),
    )


def base_plan(events: pl.LazyFrame, bucket: int, asked: Asked, cutoff: Cutoff) -> pl.LazyFrame:
    """One row a bucket: eligible, churned. Who churned in the gap has no label and is left out."""
    settings, store = asked.settings, asked.store
    users = scan_users(settings, bucket, store.parted_in)
    eligible = eligible_plan(events, cutoff, Definitions.of(settings), users).select("user_id")
    labels = label_plan(events, cutoff, settings, users).drop_nulls("churn")
    return labels.join(eligible, on="user_id", how="semi").select(
        **_ALL,
        eligible=pl.len().cast(pl.Int64),
        churned=pl.col("churn").cast(pl.Int64).sum(),
    )


def _newest_cutoff(asked: Asked) -> Cutoff | None:
    try:
        return matured_cutoffs(asked.store, asked.settings)[0]
    except LabelError:
        return None


def section(asked: Asked) -> Section:
    head, words = gather(asked), asked.words
    facts = [
        Fact(words("head.users"), count(head.users), words("head.users_about")),
        Fact(
            words("head.active"),
            count(head.active),
            words(
                "head.active_about",
                days=ACTIVE_DAYS,
                share=share(head.active / max(head.users, 1), words.lang),
            ),
        ),
        _base_fact(head, asked),
    ]
    if head.amount is not None:
        about = words("head.value_about", days=ACTIVE_DAYS, what=_value_words(asked))
        facts.append(Fact(words("head.value"), money(head.amount), about))
    facts.append(Fact(words("head.events"), count(head.events), _from_to(asked)))
    return Section(
        name="head",
        title=words("head.title"),
        about=words("head.about"),
        facts=tuple(facts),
        lines=definitions(asked, has_amount=head.amount is not None),
    )


def _base_fact(head: Head, asked: Asked) -> Fact:
    words = asked.words
    if head.base is None or head.cutoff is None:
        return Fact(words("head.base"), NOTHING, words("head.base_unknown"))
    rate, low, high = (share(found, words.lang) for found in head.base)
    about = words(
        "head.base_about",
        eligible=count(head.eligible),
        cutoff=day(head.cutoff, asked.zone),
        days=asked.settings.churn.horizon_days,
        low=low,
        high=high,
    )
    return Fact(words("head.base"), rate, about)


def _from_to(asked: Asked) -> str:
    store = asked.store
    first = day(store.first, asked.zone)
    return asked.words("head.events_about", first=first, until=as_of(asked))


def as_of(asked: Asked) -> str:
    """The as-of as people read it."""
    return instant(asked.store.as_of, asked.zone)


def definitions(asked: Asked, *, has_amount: bool) -> tuple[str, ...]:
    """What the words mean here, as holdfast.toml has it."""
    words, settings = asked.words, asked.settings
    activity, churn, within = settings.activity, settings.churn, settings.eligible.within_days
    active = words("defined.active_all")
    if activity.events is not None:
        active = words("defined.active_some", events=words.listed(activity.events))
    if activity.exclude:
        active += words("defined.active_except", events=words.listed(activity.exclude))
    eligible = words("defined.eligible_ever")
    if within is not None:
        eligible = words("defined.eligible_within", days=within)
    if churn.kind == "active" and churn.date_column is not None:
        eligible += words("defined.eligible_not_left")
    found = [active, eligible, _churn_words(asked)]
    what, days = _value_words(asked), settings.value_horizon_days
    worth = words("defined.value", what=what, days=days)
    found.append(worth if has_amount else words("defined.value_none"))
    found.append(words("defined.time", zone=asked.zone, as_of=as_of(asked)))
    return tuple(found)


def _churn_words(asked: Asked) -> str:
    words, churn = asked.words, asked.settings.churn
    blanks = {"days": churn.horizon_days, "gap": churn.gap_days}
    gap = words("defined.gap", **blanks) if churn.gap_days else ""
    if churn.kind == "passive":
        return words("defined.churn_passive", **blanks) + gap
    if churn.kind == "lapse":
        blanks |= {"period": churn.period_days or 0, "grace": churn.grace_days}
        return words("defined.churn_lapse", events=words.listed(churn.events), **blanks) + gap
    acts = [words.listed(churn.events)] if churn.events else []
    acts += [words("page.quoted", name=churn.date_column)] if churn.date_column else []
    return words("defined.churn_active", what=words("page.or").join(acts), **blanks) + gap


def _value_words(asked: Asked) -> str:
    words, value = asked.words, asked.settings.value
    if value.events is None:
        return words("defined.value_all")
    return words("defined.value_some", events=words.listed(value.events))
