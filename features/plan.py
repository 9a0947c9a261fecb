"""The feature plan: a pure function from a log, a cutoff and a spec to one row a user.

`feature_plan` is the definition, and what runs on cuDF. On the CPU `features.prefix` computes
the same for many cutoffs at once; a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import polars as pl

from events.store import known_before
from features.activity import activity, decay
from features.aggregate import Wanted, aggregated
from features.amounts import amounts
from features.attributes import held, keys, valid_at
from features.categories import categories
from features.change import change
from features.deadlines import deadlines
from features.eligible import eligibility_measures, eligible_at, with_dates
from features.family import Column, Family
from features.gaps import gaps
from features.kinds import channels, kinds
from features.measure import AT, Measure, references
from features.money import money
from features.numbers import numbers
from features.own import own, place
from features.peers import peers
from features.rhythm import rhythm, sessions
from features.season import season
from features.sets import predicate
from features.spec import FeatureSpec
from features.statics import statics
from features.streams import prepare
from features.subscription import subscription, troubles
from features.time import Cutoff, at_instant
from runtime.errors import SettingsError

# Raise it when a feature's meaning changes: snapshots computed under another are not reused, and
# models that learned from them are refused.
VERSION = 3
RESERVED = {"cutoff", "user_id", "churn", "value", "bucket"}

FAMILIES: tuple[Callable[[FeatureSpec], Family], ...] = (
    activity,
    decay,
    gaps,
    money,
    kinds,
    amounts,
    channels,
    numbers,
    categories,
    deadlines,
    sessions,
    rhythm,
    change,
    subscription,
    troubles,
    peers,
    season,
    statics,
    own,
)


def feature_plan(
    events: pl.LazyFrame, cutoff: Cutoff, spec: FeatureSpec, users: pl.LazyFrame | None
) -> pl.LazyFrame:
    """`user_id` and the spec's features (Int64 or Float64), a row an eligible user, in no order.

    Reads nothing that happened or arrived at or after the cutoff, whatever `events` holds.
    """
    rows = prepare(events.filter(known_before(cutoff.at)), spec)
    return prepared_plan(rows, cutoff, spec, users)


def prepared_plan(
    rows: pl.LazyFrame, cutoff: Cutoff, spec: FeatureSpec, users: pl.LazyFrame | None
) -> pl.LazyFrame:
    """The same from rows that `prepare` has made, which may serve many cutoffs."""
    users = None if users is None else valid_at(users, cutoff.at)
    measures, wanted = measures_of(spec)
    people = aggregated(rows, cutoff, spec, measures, wanted)
    people = with_dates(people.with_columns(cutoff=at_instant(cutoff)), users, spec.definitions)
    return featured(people.filter(eligible_at(spec.definitions)), spec, users).drop("cutoff")


def featured(people: pl.LazyFrame, spec: FeatureSpec, users: pl.LazyFrame | None) -> pl.LazyFrame:
    """`cutoff`, `user_id` and the features, from rows of them with every wanted measure."""
    return _with_attributes(people, users, spec).select("cutoff", "user_id", *_named(spec))


@lru_cache(maxsize=64)
def _named(spec: FeatureSpec) -> tuple[pl.Expr, ...]:
    return tuple(c.value.alias(c.feature.name) for c in columns_of(spec))


@lru_cache(maxsize=64)
def columns_of(spec: FeatureSpec) -> tuple[Column, ...]:
    """Every column of the spec's set, in the plan's order; a project's own are in every set.

    Raises SettingsError where a project's own feature has the name of another.
    """
    mine = own(spec).columns
    kept = predicate(spec.set, spec.chosen)
    house = (c for family in FAMILIES if family is not own for c in family(spec).columns)
    columns = (*(c for c in house if kept(c.feature.name)), *mine)
    if mine:
        _check_own(mine, columns, spec)
    return columns


def _check_own(mine: Sequence[Column], columns: Sequence[Column], spec: FeatureSpec) -> None:
    """Names that are free, and values that read what there is."""
    names = [c.feature.name.lower() for c in columns]
    there = {
        "cutoff",
        *known_measures(spec),
        *(held(a.name).meta.output_name() for a in spec.attributes),
    }
    for c in mine:
        name = c.feature.name
        if names.count(name.lower()) > 1 or name.lower() in RESERVED:
            raise SettingsError(
                f"{place(spec, name)}: the feature name '{name}' is taken; choose another"
            )
        if unknown := sorted(set(references([c.value])) - there):
            raise SettingsError(
                f"{place(spec, name)}: feature '{name}' reads '{unknown[0]}', which is no "
                "measure; declare it in the family's measures"
            )


@lru_cache(maxsize=64)
def measures_of(spec: FeatureSpec) -> tuple[Mapping[str, Measure], Wanted]:
    """The measures that the spec's columns and eligibility read, and in which windows."""
    known = known_measures(spec)
    read = references(column.value for column in columns_of(spec))
    for name in eligibility_measures(spec.definitions):
        read.setdefault(name, set()).add(None)
    wanted = {name: sorted_days(days) for name, days in read.items() if name in known}
    return {name: known[name] for name in wanted}, wanted


def known_measures(spec: FeatureSpec) -> dict[str, Measure]:
    """Every family's measures by name. Raises SettingsError where one is declared twice."""
    found: dict[str, Measure] = {}
    for family in FAMILIES:
        for name, measure in family(spec).measures.items():
            if family is own and (name in found or AT in name):
                raise SettingsError(
                    f"{place(spec, name)}: the measure name '{name}' is taken; choose another "
                    f"without '{AT}'"
                )
            found[name] = measure
    return found | dict(eligibility_measures(spec.definitions))


def sorted_days(days: set[int | None]) -> tuple[int | None, ...]:
    """Windows by length, ever last."""
    return tuple(sorted(days, key=lambda d: (d is None, d)))


def _with_attributes(
    people: pl.LazyFrame, users: pl.LazyFrame | None, spec: FeatureSpec
) -> pl.LazyFrame:
    if not spec.attributes:
        return people
    if users is None:
        raise ValueError("the spec has attributes: the users table is needed")
    on = keys(users)
    known = users.select(*on, *(held(attribute.name) for attribute in spec.attributes))
    return people.join(known, on=on, how="left", maintain_order="left")
