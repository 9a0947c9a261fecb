"""Groups of a sample of users at one cutoff: found, put in order and named."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl

from features.spec import FeatureSpec
from runtime.device import Device
from training.groups_engines import Cut, Method, Whole, cut, one_thread
from training.groups_model import GroupModel
from training.groups_names import named
from training.groups_number import CHOICE_USERS, Choice, choose
from training.groups_profile import activity_column, profiles, value_column
from training.groups_space import columns_of, fit_space
from training.metrics import Floats
from training.rows import matrix
from training.split import user_share

LEAST_USERS = 20


@one_thread()
def fit_groups(
    frame: pl.DataFrame,
    spec: FeatureSpec,
    as_of: datetime,
    method: Method,
    groups: int | None,
    seed: int,
    device: Device,
) -> tuple[GroupModel, Choice]:
    """`frame`: `user_id` and `profile_columns`, a row a user, in any order.

    Groups are numbered by what their users spend on average (do, on a log without amounts), most
    first. Raises UsageError for a number of groups that cannot be had or a set without behaviour.
    """
    rows = _taken(frame, method, seed)
    names = tuple(name for of in columns_of(spec).values() for name in of)
    x = matrix(rows, names)
    space = fit_space(x, spec)
    z = space(x)
    choice = choose(z, method, groups, seed, device)
    ordered = in_order(choice.cut, choice.cut.assign(z), rows, spec)
    model = GroupModel(spec, as_of, space, method, choice.size, len(z), ordered)
    seen = profiles(rows, model.assign(rows), range(1, ordered.groups + 1), spec)
    return replace(model, named=named(seen, spec)), choice


@one_thread()
def fit_again(
    model: GroupModel, frame: pl.DataFrame, seed: int, device: Device
) -> GroupModel | None:
    """As many groups, found in the users of another cutoff; without names. None where they are
    too few or all do the same."""
    rows = _taken(frame, model.method, seed)
    if model.size is None or len(rows) < LEAST_USERS:
        return None
    x = matrix(rows, model.space.features)
    space = fit_space(x, model.spec)
    z = space(x)
    if not z.shape[1] or len(np.unique(np.round(z, 6), axis=0)) < model.cut.groups:
        return None
    size = model.size
    if model.method == "hdbscan":  # the same share of the users
        size = max(2, round(size * len(z) / model.fit_users))
    found = cut(z, model.method, size, seed, device)
    return replace(model, space=space, size=size, fit_users=len(z), cut=found, named=())


def _taken(frame: pl.DataFrame, method: Method, seed: int) -> pl.DataFrame:
    """In an order that depends on the users alone, so that the first n are a random n. HDBSCAN
    keeps its users as points and compares all with all: it gets no more than are chosen by."""
    rows = frame.sort(user_share(seed), "user_id")
    return rows.head(CHOICE_USERS) if method == "hdbscan" else rows


def in_order(found: Cut, labels: Whole, rows: pl.DataFrame, spec: FeatureSpec) -> Cut:
    """The same groups numbered by value a user, then activity a user, then size; most first."""
    keys: list[tuple[float, float, int, int]] = []
    for number in range(1, found.groups + 1):
        mine = labels == number
        spent = _mean(rows, value_column(spec), mine)
        done = _mean(rows, activity_column(spec), mine)
        keys.append((-spent, -done, -int(mine.sum()), number))
    rank = np.zeros(found.groups + 1, dtype=np.int64)
    for place, key in enumerate(sorted(keys), start=1):
        rank[key[-1]] = place
    group = rank[found.group]
    if (found.group == 0).any():
        return Cut(found.points, group, found.groups)
    order = np.argsort(group, kind="stable")
    return Cut(found.points[order], group[order], found.groups)


def _mean(rows: pl.DataFrame, name: str | None, mine: Whole) -> float:
    if name is None or not mine.any():
        return 0.0
    values: Floats = rows[name].cast(pl.Float64).fill_null(0.0).to_numpy()
    return round(float(values[mine].mean()), 6)
