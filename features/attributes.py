"""Static attributes of the users table: which are numbers, which are categories, and which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import polars as pl

from events.users import VALID_FROM
from runtime.collect import collect
from runtime.device import Device

MOST_CATEGORIES = 20
CPU = Device("cpu", "a look at the users")


@dataclass(frozen=True)
class Attribute:
    """A column of the users table: a number, or one of the learned categories."""

    name: str
    kind: Literal["number", "category"]
    categories: tuple[str, ...] = ()


def in_frame(name: str) -> str:
    """What a users column is called beside computed ones, which may bear the same name."""
    return f"user: {name}"


def held(name: str) -> pl.Expr:
    return pl.col(name).alias(in_frame(name))


def as_number(name: str) -> pl.Expr:
    """The attribute as a finite Float64, null where it is none."""
    number = pl.col(name).cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def as_text(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String)


def valid_at(users: pl.LazyFrame, cutoff: datetime) -> pl.LazyFrame:
    """One row a user: the latest that is valid from before the cutoff; users without one have
    none. A table whose rows have no time is what it is."""
    return latest(valid_before(users, cutoff))


def valid_at_each(users: pl.LazyFrame, cutoffs: Sequence[datetime]) -> pl.LazyFrame:
    """The same at several cutoffs: a row a `cutoff` and user. A table whose rows have no time
    is what it is, without the cutoffs."""
    if VALID_FROM not in users.collect_schema():
        return users
    at = (pl.lit(cutoff, pl.Datetime("us", "UTC")) for cutoff in cutoffs)
    each = zip(cutoffs, at, strict=True)
    return pl.concat([valid_at(users, c).with_columns(cutoff=instant) for c, instant in each])


def keys(users: pl.LazyFrame) -> list[str]:
    """What rows of the users table are joined on: the user, and the cutoff where they have one."""
    return [name for name in ("cutoff", "user_id") if name in users.collect_schema()]


def valid_before(users: pl.LazyFrame, cutoff: datetime) -> pl.LazyFrame:
    """The rows that were valid at some time before the cutoff."""
    if VALID_FROM not in users.collect_schema():
        return users
    return users.filter(pl.col(VALID_FROM).is_null() | (pl.col(VALID_FROM) < cutoff))


def latest(users: pl.LazyFrame) -> pl.LazyFrame:
    """Each user's latest row, without its time."""
    if VALID_FROM not in users.collect_schema():
        return users
    rows = users.sort("user_id", VALID_FROM, nulls_last=False)
    return rows.unique("user_id", keep="last", maintain_order=True).drop(VALID_FROM)


def learn_attributes(
    users: pl.LazyFrame | None, names: tuple[str, ...], known: pl.LazyFrame, before: datetime
) -> tuple[Attribute, ...]:
    """`known`: the `user_id` of everyone with an event before the cutoff; nobody else is read,
    and no row that is valid from `before` or later.

    A column is a number where every value it has is one; of a category's values the most
    frequent are kept, ties by name. A column without values is left out.
    """
    if users is None or not names:
        return ()
    seen = valid_before(users, before).join(known, on="user_id", how="semi")
    told = collect(seen.select(names), CPU)  # at once: who is known is read off the whole log
    learned = (_learn(told.lazy(), name) for name in names)
    return tuple(attribute for attribute in learned if attribute is not None)


def _learn(users: pl.LazyFrame, name: str) -> Attribute | None:
    held = users.filter(pl.col(name).is_not_null())
    total, numbers = collect(
        held.select(total=pl.len(), numbers=as_number(name).is_not_null().sum()), CPU
    ).row(0)
    if total == 0:
        return None
    if numbers == total and held.collect_schema()[name] != pl.Boolean:
        return Attribute(name, "number")
    counted = collect(held.group_by(as_text(name).alias("value")).agg(n=pl.len()), CPU)
    ranked = counted.sort(["n", "value"], descending=[True, False])["value"].to_list()
    return Attribute(name, "category", tuple(ranked[:MOST_CATEGORIES]))
