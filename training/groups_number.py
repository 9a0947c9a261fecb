"""How many groups: as many as are found again when half of the users are left out.

A group holds where, in groupings of halves of the users, one group has the same users again:
mean Jaccard similarity of at least 0.75 (Hennig 2007, "Cluster-wise assessment of cluster
stability"). A number holds where all its groups do. Of those that hold, the largest is taken, as
by prediction strength (Tibshirani and Walther 2005), that is nearly as stable as the best and has
nearly the best silhouette (Rousseeuw 1987): within a tenth of each. The best silhouette alone
says "active or not" nearly always, which is true and of no use. Where no number holds, the most
stable one is taken, the least of equals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runtime.counted import counted
from runtime.device import Device
from runtime.errors import UsageError
from training.groups_engines import ONE, Cut, Method, Whole, cut
from training.metrics import Floats

TWO, MOST_GROUPS = 2, 8  # more than a person can keep apart
LEAST_USERS, LEAST_SHARE = 10, 0.01  # of a group
HALVES, HALF_STARTS = 10, 3
HOLDS, SHARP = 0.75, 0.25
NEARLY = 0.9  # of the best
CHOICE_USERS, SILHOUETTE_USERS = 3000, 1500
DENSITY_SHARES = (0.02, 0.05, 0.10)  # fewest users of a group that HDBSCAN is tried with


@dataclass(frozen=True)
class Tried:
    """`size`: what the method was given; `smallest`: the share of the smallest group."""

    groups: int
    size: int
    stability: float
    silhouette: float
    smallest: float

    @property
    def holds(self) -> bool:
        return self.stability >= HOLDS and self.smallest >= LEAST_SHARE


@dataclass(frozen=True)
class Choice:
    """`size`: what the method was given for all users; None where all are one group."""

    cut: Cut
    size: int | None
    tried: tuple[Tried, ...]
    chosen: Tried | None
    notes: tuple[str, ...]


def choose(z: Floats, method: Method, groups: int | None, seed: int, device: Device) -> Choice:
    """Groups of the rows of `z`, shape (n, axes), of which the first m are a random m.

    `groups`: how many, None: chosen by the rule. One group, with a note, where there are too few
    users or they all do the same. Raises UsageError where `groups` cannot be had.
    """
    some = z[:CHOICE_USERS]
    different = _different(some if groups is None else z)
    _require_possible(method, groups, len(z), different)
    if groups is None and (len(z) < 2 * LEAST_USERS or different < TWO):
        looked = f"{len(some):,} users" + (f" of {len(z):,}" if len(some) < len(z) else "")
        few = f"{looked} behave in {counted(different, 'different ways')}"
        return Choice(ONE, None, (), None, (f"{few}: too few to be told apart, all are one group",))
    tried = [_try(some, method, size, seed, device) for size in _sizes(method, groups, some)]
    usable = [one for one in tried if TWO <= one.groups <= MOST_GROUPS]
    if not usable:
        return Choice(ONE, None, tuple(tried), None, (_no_density(tried),))
    chosen = best(usable)
    found = cut(z, method, chosen.size, seed, device)
    return Choice(found, chosen.size, tuple(tried), chosen, _notes(chosen))


def _different(z: Floats) -> int:
    """Rows that are not alike."""
    return len(np.unique(np.round(z, 6), axis=0)) if z.shape[1] else min(len(z), 1)


def best(tried: Sequence[Tried]) -> Tried:
    """By the rule; where no number holds, the one that comes nearest to it."""
    holding = [one for one in tried if one.holds]
    if not holding:
        return max(tried, key=lambda one: (round(one.stability, 2), -one.groups))
    stable = NEARLY * max(one.stability for one in holding)
    steady = [one for one in holding if one.stability >= stable]
    sharp = NEARLY * max(one.silhouette for one in holding)
    good = [one for one in steady if one.silhouette >= sharp] or steady
    return max(good, key=lambda one: (one.groups, one.stability))


def _sizes(method: Method, groups: int | None, z: Floats) -> list[int]:
    if method == "hdbscan":
        return sorted({max(LEAST_USERS // 2, int(share * len(z))) for share in DENSITY_SHARES})
    if groups is not None:
        return [groups]
    most = min(MOST_GROUPS, len(z) // LEAST_USERS, _different(z))
    return list(range(TWO, most + 1))


def _try(z: Floats, method: Method, size: int, seed: int, device: Device) -> Tried:
    whole = cut(z, method, size, seed, device)
    labels = whole.assign(z)
    numbers = np.arange(1, whole.groups + 1)
    shares = np.array([(labels == g).mean() for g in numbers])
    if whole.groups < TWO:
        return Tried(whole.groups, size, 0.0, 0.0, float(shares.min()) if len(shares) else 0.0)
    found = np.zeros(whole.groups)
    for half in _halves(len(z), size, seed):
        part = size if method == "kmeans" else max(2, size // 2)
        again = cut(z[half], method, part, seed, device, HALF_STARTS).assign(z)
        found += jaccard(labels, again, whole.groups)
    sharp = _silhouette(z, labels)
    return Tried(whole.groups, size, float(found.min() / HALVES), sharp, float(shares.min()))


def _halves(users: int, least: int, seed: int) -> list[Whole]:
    """Rows of HALVES random halves of the users, of `least` at least, in order."""
    random = np.random.default_rng([seed, 7])
    half = max(users // 2, min(least, users))
    return [np.sort(random.permutation(users)[:half]) for _ in range(HALVES)]


def jaccard(labels: Whole, again: Whole, groups: int) -> Floats:
    """Of each group 1..groups its best Jaccard similarity with a group of the other grouping of
    the same users, shape (groups,); labels 0 are no group."""
    found = np.zeros(groups)
    for g in range(1, groups + 1):
        mine = labels == g
        others = np.unique(again[mine & (again > 0)])
        ratios = [(mine & (again == o)).sum() / (mine | (again == o)).sum() for o in others]
        found[g - 1] = max(ratios, default=0.0)
    return found


def _silhouette(z: Floats, labels: Whole) -> float:
    """Of users in groups, over the first SILHOUETTE_USERS."""
    from sklearn.metrics import silhouette_score

    grouped = np.flatnonzero(labels > 0)[:SILHOUETTE_USERS]
    if not TWO <= len(np.unique(labels[grouped])) < len(grouped):
        return 0.0
    return float(silhouette_score(z[grouped], labels[grouped]))


def _require_possible(method: Method, groups: int | None, users: int, different: int) -> None:
    if groups is None:
        return
    if method == "hdbscan":
        raise UsageError(
            f"--groups {groups}: hdbscan finds the number itself; leave it out or use "
            "--method kmeans"
        )
    if not TWO <= groups <= MOST_GROUPS:
        raise UsageError(
            f"--groups {groups}: choose {TWO} to {MOST_GROUPS}, as many as can be read"
        )
    if groups > different:
        raise UsageError(
            f"--groups {groups}: {users:,} users behave in {counted(different, 'different ways')}; "
            "ask for fewer groups, or leave it out"
        )


def _notes(chosen: Tried) -> tuple[str, ...]:
    notes = []
    if not chosen.holds:
        notes.append(
            f"the {chosen.groups} groups are not found again in every half of the users "
            f"(Jaccard {chosen.stability:.2f} at least, {HOLDS} would hold): take them as a cut "
            "through people who differ by degrees"
        )
    if chosen.silhouette < SHARP:
        notes.append(
            f"the groups shade into each other (silhouette {chosen.silhouette:.2f}; below "
            f"{SHARP} no gap lies between them, Kaufman and Rousseeuw 1990)"
        )
    return tuple(notes)


def _no_density(tried: Sequence[Tried]) -> str:
    found = ", ".join(str(one.groups) for one in tried)
    return (
        f"hdbscan finds {found} groups where {TWO} to {MOST_GROUPS} can be used: all are one group"
    )
