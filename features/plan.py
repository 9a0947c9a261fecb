"""The feature plan: a pure function from a log, a cutoff and a spec to one row a user."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import polars as pl

from features.activity import activity
from features.attributes import held, valid_at
from features.change import change
from features.eligible import eligibility_sums, eligible_at, with_dates
from features.family import Family
from features.gaps import gaps
from features.kinds import channels, kind_rows, kinds
from features.money import money
from features.prepare import prepare
from features.rhythm import rhythm, sessions
from features.spec import FeatureSpec
from features.statics import statics
from features.time import Cutoff

# Raise it when a feature's meaning changes: snapshots computed under another are not reused.
VERSION = 1

FAMILIES: tuple[Callable[[FeatureSpec, Cutoff], Family], ...] = (
    activity,
    gaps,
    money,
    kinds,
    channels,
    sessions,
    rhythm,
    change,
    statics,
)


def feature_plan(
    events: pl.LazyFrame, cutoff: Cutoff, spec: FeatureSpec, users: pl.LazyFrame | None
) -> pl.LazyFrame:
    """`user_id` and the spec's features (Int64 or Float64), a row an eligible user, in no order.

    Reads nothing at or after the cutoff, whatever `events` holds.
    """
    rows = prepare(events.filter(pl.col("ts") < cutoff.at), spec)
    return prepared_plan(rows, cutoff, spec, users)


def prepared_plan(
    rows: pl.LazyFrame, cutoff: Cutoff, spec: FeatureSpec, users: pl.LazyFrame | None
) -> pl.LazyFrame:
    """The same from rows that `prepare` has made, which may serve many cutoffs."""
    users = None if users is None else valid_at(users, cutoff.at)
    families = families_at(spec, cutoff)
    known = rows.filter(pl.col("ts") < cutoff.at)
    people = _people(known, families, spec)
    if spec.has_events:
        people = people.join(_by_kind(known, families, spec, cutoff), on="number", how="left")
    people = with_dates(people, users, spec.definitions)
    people = people.filter(eligible_at(cutoff, spec.definitions))
    return _with_attributes(people, users, spec).select(
        "user_id",
        *(c.value.alias(c.feature.name) for family in families for c in family.columns),
    )


@lru_cache(maxsize=64)
def families_at(spec: FeatureSpec, cutoff: Cutoff) -> tuple[Family, ...]:
    """Every family's expressions at a cutoff; made once for all buckets."""
    return tuple(family(spec, cutoff) for family in FAMILIES)


def _people(rows: pl.LazyFrame, families: tuple[Family, ...], spec: FeatureSpec) -> pl.LazyFrame:
    sums = {name: expr for family in families for name, expr in family.sums.items()}
    sums |= eligibility_sums(spec.definitions)
    first = pl.col("user_id").first()
    return rows.group_by("number", maintain_order=True).agg(first, **sums)


def _by_kind(
    rows: pl.LazyFrame, families: tuple[Family, ...], spec: FeatureSpec, cutoff: Cutoff
) -> pl.LazyFrame:
    sums = {name: expr for family in families for name, expr in family.kind_sums.items()}
    return kind_rows(rows, spec, cutoff).group_by("number").agg(**sums)


def _with_attributes(
    people: pl.LazyFrame, users: pl.LazyFrame | None, spec: FeatureSpec
) -> pl.LazyFrame:
    if not spec.attributes:
        return people
    if users is None:
        raise ValueError("the spec has attributes: the users table is needed")
    known = users.select("user_id", *(held(attribute.name) for attribute in spec.attributes))
    return people.join(known, on="user_id", how="left")
