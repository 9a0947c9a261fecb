"""Features in SQL, as a careful analyst would write them: DuckDB runs one text a family.

It works out every cutoff in one pass, in the time zone of the spec: DuckDB's wheel holds its
own time zones, so nothing is downloaded. A new family is a function from a spec to a SELECT of
`t`, `user_id` and its columns over the tables of `duck_base`, named in FAMILIES; "" where the
spec has none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import duckdb
import polars as pl
from oracles.duck_activity import activity, decay
from oracles.duck_base import tables
from oracles.duck_categories import categories
from oracles.duck_change import change
from oracles.duck_deadlines import deadlines
from oracles.duck_gaps import gaps
from oracles.duck_kinds import channels, kinds
from oracles.duck_money import amounts, money
from oracles.duck_numbers import numbers
from oracles.duck_rhythm import rhythm, sessions
from oracles.duck_season import peers, season
from oracles.duck_statics import statics
from oracles.duck_subscription import subscription, troubles

from features.sets import predicate
from features.spec import FeatureSpec

FAMILIES: tuple[Callable[[FeatureSpec], str], ...] = (
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
)
LOG = ("user_id", "ts", "event", "amount", "channel", "received", "properties")
Found = dict[tuple[datetime, str], dict[str, Any]]


def features(
    events: pl.DataFrame, cutoffs: Sequence[datetime], spec: FeatureSpec, users: pl.DataFrame
) -> Found:
    """Values of the spec's set by (cutoff, user) and name, of everyone eligible."""
    kept = predicate(spec.set, spec.chosen)
    with duckdb.connect(config={"threads": 1}) as db:
        db.execute("set timezone = 'UTC'")
        db.register("log", events.select(LOG).to_arrow())
        db.register("users", users.to_arrow())
        db.register("cutoffs", pl.DataFrame({"t": cutoffs}).to_arrow())
        for statement in tables(spec):
            db.execute(statement)
        found: Found = {key: {} for key in _answer(db, "people").iter_rows()}
        for family in FAMILIES:
            if sql := family(spec):
                for row in _answer(db, f"({sql}) semi join people using (t, user_id)").to_dicts():
                    key = row.pop("t"), row.pop("user_id")
                    found[key] |= {name: value for name, value in row.items() if kept(name)}
    return found


def _answer(db: duckdb.DuckDBPyConnection, tables: str) -> pl.DataFrame:
    return pl.DataFrame(db.sql(f"from {tables}").to_arrow_table())
