"""Whether groups hold over time: sizes at earlier cutoffs, who moved where, and what groups
would have been found there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from features.time import Cutoff
from runtime.clock import show
from runtime.device import Device
from training.groups_engines import Whole
from training.groups_fit import LEAST_USERS, fit_again
from training.groups_model import GroupModel
from training.groups_number import jaccard

SAME, DISSOLVED = 0.6, 0.5
MUCH_LARGER = 2.0


@dataclass(frozen=True)
class Size:
    """Of one group at one cutoff, by the same rule at all cutoffs. `churn`: the share that
    churned afterwards; `next_value_share`: of the value within the value horizon; None where
    not matured, or nobody is in the group."""

    number: int
    users: int
    share: float
    value_share: float | None
    activity_share: float | None
    churn: float | None
    next_value_share: float | None


@dataclass(frozen=True)
class Moment:
    cutoff: Cutoff
    users: int
    matured: bool
    sizes: tuple[Size, ...]


@dataclass(frozen=True)
class Movement:
    """Of the users of a group at `since`: how many are in which group at `until`. Shape of
    `users`: (groups, groups + 1), the last column those no longer eligible; `came`: users of each
    group at `until` who were not eligible at `since`."""

    since: Cutoff
    until: Cutoff
    numbers: tuple[int, ...]
    users: tuple[tuple[int, ...], ...]
    came: tuple[int, ...]


@dataclass(frozen=True)
class Refit:
    """Groups found at an earlier cutoff against those that are kept, on the users of the newest.

    `rand`: adjusted Rand index (Hubert and Arabie 1985), 1 where alike, 0 as by chance; `held`: of
    each group its best Jaccard similarity with one of the earlier grouping.
    """

    cutoff: Cutoff
    rand: float
    held: tuple[float, ...]


def moment(cutoff: Cutoff, rows: pl.DataFrame, numbers: Sequence[int]) -> Moment:
    """`rows`: what `groups_rows.assigned` gives."""
    matured = len(rows) > 0 and rows["churn"].null_count() < len(rows)
    sums = {name: _sum(rows, name) for name in ("spent", "active", "value")}
    sizes = []
    for number in numbers:
        mine = rows.filter(pl.col("group") == number)
        shares = {name: _part(_sum(mine, name), total) for name, total in sums.items()}
        churn = mine["churn"].mean()
        sizes.append(
            Size(
                number=number,
                users=len(mine),
                share=len(mine) / len(rows) if len(rows) else 0.0,
                value_share=shares["spent"],
                activity_share=shares["active"],
                churn=float(churn) if isinstance(churn, int | float) else None,
                next_value_share=shares["value"] if matured else None,
            )
        )
    return Moment(cutoff, len(rows), matured, tuple(sizes))


def _sum(rows: pl.DataFrame, name: str) -> float | None:
    known = rows[name].drop_nulls()
    # Sorted: equal sums whatever the buckets.
    return float(known.sort().sum()) if len(known) else None


def _part(mine: float | None, total: float | None) -> float | None:
    if total is None or total <= 0:
        return None
    return (mine or 0.0) / total


def movement(
    since: Cutoff, until: Cutoff, before: pl.DataFrame, after: pl.DataFrame, numbers: Sequence[int]
) -> Movement:
    both = before.select("user_id", was="group").join(
        after.select("user_id", now="group"), on="user_id", how="full", coalesce=True
    )
    counted = {
        (was, now): n for was, now, n in both.group_by("was", "now").agg(pl.len()).iter_rows()
    }
    rows = tuple(tuple(counted.get((was, now), 0) for now in (*numbers, None)) for was in numbers)
    came = tuple(counted.get((None, now), 0) for now in numbers)
    return Movement(since, until, tuple(numbers), rows, came)


def refit(
    model: GroupModel,
    cutoff: Cutoff,
    then: pl.DataFrame,
    newest: pl.DataFrame,
    seed: int,
    device: Device,
) -> Refit | None:
    """Finds as many groups anew in `then`, a sample at an earlier cutoff, and compares them on
    `newest`. None where there is but one group or `then` is too small."""
    again = fit_again(model, then, seed, device)
    if again is None:
        return None
    ours, theirs = model.assign(newest), again.assign(newest)
    held = tuple(jaccard(ours, theirs, model.cut.groups).tolist())
    return Refit(cutoff, rand_index(ours, theirs), held)


def rand_index(one: Whole, other: Whole) -> float:
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(one, other))


def notes(model: GroupModel, moments: Sequence[Moment], refits: Sequence[Refit]) -> list[str]:
    """What a reader must know of groups that do not hold. `moments`: the newest first."""
    found = []
    for each in refits:
        if round(each.rand, 2) < SAME:
            found.append(
                f"found anew at {show(each.cutoff.at)} the groups are others (adjusted Rand index "
                f"{each.rand:.2f}; {SAME} would be alike)"
            )
    for number in range(1, model.cut.groups + 1):
        held = [each.held[number - 1] for each in refits]
        if held and max(held) < DISSOLVED:
            found.append(
                f"'{model.name(number)}' is found at no earlier cutoff (best Jaccard "
                f"{max(held):.2f}; below {DISSOLVED} a group is dissolved)"
            )
    return [*found, *_grown(model, moments), *_scattered(model, moments[0])]


def _scattered(model: GroupModel, now: Moment) -> list[str]:
    """The heaviest users are unlike each other, and so noise to a method that looks for density."""
    for size in now.sizes:
        part = size.activity_share if size.value_share is None else size.value_share
        if size.number == 0 and part is not None and part > MUCH_LARGER * size.share:
            return [
                f"the {size.share:.0%} of users in no group hold {part:.0%} of the "
                f"{'activity' if size.value_share is None else 'value'}: --method kmeans groups "
                "them too"
            ]
    return []


def _grown(model: GroupModel, moments: Sequence[Moment]) -> list[str]:
    peopled = [each for each in moments if each.users >= LEAST_USERS]
    found = []
    for number in model.numbers if len(peopled) > 1 else ():
        shares = [
            (s.share, each.cutoff) for each in peopled for s in each.sizes if s.number == number
        ]
        (low, least), (high, most) = min(shares), max(shares)
        if high > max(MUCH_LARGER * low, low + 0.05):
            found.append(
                f"'{model.name(number)}' holds {low:.0%} of users at {show(least.at)} and "
                f"{high:.0%} at {show(most.at)}"
            )
    return found
