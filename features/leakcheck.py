"""The leak detector: features must not change when only what was unknown at the cutoff changes.

It looks at nothing but results. A callable computes features from a log and a cutoff; it is run
on the log as it is and on every world of features.leakcheck_worlds, each of which agrees with
the log on all that was known before the cutoff. Whatever differs was read from beyond it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from features.leakcheck_compare import Difference, differences
from features.leakcheck_rows import Log, Scene
from features.leakcheck_worlds import AGAIN, WORLDS, World
from features.time import Cutoff
from runtime.clock import show
from runtime.errors import HoldfastError, InputError, LabelError, from_foreign
from runtime.progress import Advance

# Events, users (None without a users table) and a cutoff to one row a `user_id`. Whatever it
# learns (a vocabulary, a scaler) it must learn from what it is given.
Compute = Callable[[pl.LazyFrame, pl.LazyFrame | None, Cutoff], pl.DataFrame]

FAILS = "(fails)"  # stands for a column where the features could not be computed at all


@dataclass(frozen=True)
class Leak:
    """A column that differs in a world for so many users; `user_id`: whether there is a row."""

    world: str
    column: str
    users: int
    example_user: str
    before: Any
    after: Any
    cutoff: Cutoff
    cause: str


@dataclass(frozen=True)
class Checked:
    """`leaks`: worst first. `worlds`: those that altered something at some cutoff; `idle`: the
    others, with what they would have needed. `users`: how many were compared, by cutoff."""

    leaks: tuple[Leak, ...]
    features: tuple[str, ...]
    worlds: tuple[str, ...]
    idle: Mapping[str, str]
    users: Mapping[Cutoff, int]


@dataclass
class _Progress:
    """What has been found so far."""

    leaks: list[Leak] = field(default_factory=list)
    features: dict[str, None] = field(default_factory=dict)
    worlds: set[str] = field(default_factory=set)
    users: dict[Cutoff, int] = field(default_factory=dict)


def steps(cutoffs: Sequence[Cutoff]) -> int:
    """How often `check` advances."""
    return len(cutoffs) * (len(WORLDS) + 1)


def check(
    compute: Compute, log: Log, cutoffs: Sequence[Cutoff], advance: Advance | None = None
) -> Checked:
    """Runs the features in every world at every cutoff.

    Raises LabelError where there was nothing to check: no event, user or feature at a cutoff;
    InputError where the features cannot be computed or are not one row a user.
    """
    found = _Progress()
    for cutoff in cutoffs:
        _check_at(compute, Scene(log, cutoff.at), cutoff, found, advance or (lambda: None))
    _require_something(cutoffs, found)
    return Checked(
        leaks=tuple(sorted(found.leaks, key=_rank)),
        features=tuple(found.features),
        worlds=tuple(w.name for w in WORLDS if w.name in found.worlds),
        idle={w.name: w.needs for w in WORLDS if w.name not in found.worlds},
        users=found.users,
    )


def _check_at(
    compute: Compute, scene: Scene, cutoff: Cutoff, found: _Progress, advance: Callable[[], None]
) -> None:
    if scene.known.is_empty():
        raise LabelError(
            f"cutoff {show(cutoff.at)}: nobody looked at has an event before it; choose a later one"
        )
    base = _base(compute, scene.log, cutoff)
    found.users[cutoff] = base.height
    found.features.update(dict.fromkeys(n for n in base.columns if n != "user_id"))
    again = _compared(compute, base, scene.log, cutoff)
    found.leaks += _leaks(AGAIN, again, cutoff)
    # Of what differs by itself no world can tell anything.
    shaky = {difference.column for difference in again}
    advance()
    for world in WORLDS:
        altered = world.alter(scene)
        if altered is not None and not _same(altered, scene.log):
            found.worlds.add(world.name)
            told = _compared(compute, base, altered, cutoff)
            found.leaks += _leaks(world, (d for d in told if d.column not in shaky), cutoff)
        advance()


def _same(one: Log, other: Log) -> bool:
    if not one.events.equals(other.events):
        return False
    if one.users is None or other.users is None:
        return one.users is other.users
    return one.users.equals(other.users)


def _base(compute: Compute, log: Log, cutoff: Cutoff) -> pl.DataFrame:
    try:
        return _features(compute, log, cutoff)
    except HoldfastError:
        raise
    except Exception as error:
        told = next(iter(str(error).splitlines()), "")
        raise from_foreign(error, "leakcheck") or InputError(
            f"features at {show(cutoff.at)}: cannot be computed: {type(error).__name__}: {told}; "
            "correct them"
        ) from error


def _features(compute: Compute, log: Log, cutoff: Cutoff) -> pl.DataFrame:
    users = None if log.users is None else log.users.lazy()
    frame = compute(log.events.lazy(), users, cutoff)
    if "user_id" not in frame.columns:
        raise InputError(
            f"features at {show(cutoff.at)}: no column 'user_id'; found "
            f"{', '.join(frame.columns) or 'none'}; return one row a user_id"
        )
    doubled = frame.filter(pl.col("user_id").is_duplicated())
    if doubled.height:
        raise InputError(
            f"features at {show(cutoff.at)}: user '{doubled['user_id'][0]}' has several rows; "
            "return one row a user_id"
        )
    return frame


def _compared(compute: Compute, base: pl.DataFrame, log: Log, cutoff: Cutoff) -> list[Difference]:
    """What differs; features that fail because of what comes later depend on it too."""
    try:
        other = _features(compute, log, cutoff)
    except HoldfastError:
        raise
    except Exception as error:
        if known := from_foreign(error, "leakcheck"):
            raise known from error
        example = str(base["user_id"].min())
        told = f"{type(error).__name__}: {error}"
        return [Difference(FAILS, base.height, example, "computed", told)]
    return differences(base, other)


def _leaks(world: World, told: Iterable[Difference], cutoff: Cutoff) -> list[Leak]:
    return [
        Leak(world.name, d.column, d.users, d.example_user, d.before, d.after, cutoff, world.cause)
        for d in told
    ]


def _rank(leak: Leak) -> tuple[int, int, str, Cutoff]:
    order = [AGAIN.name, *(world.name for world in WORLDS)]
    return -leak.users, order.index(leak.world), leak.column, leak.cutoff


def _require_something(cutoffs: Sequence[Cutoff], found: _Progress) -> None:
    if found.leaks:
        return
    empty = [cutoff for cutoff in cutoffs if not found.users[cutoff]]
    if not cutoffs or empty:
        shown = f"at {show(empty[0].at)} nobody has features" if empty else "there is no cutoff"
        raise LabelError(f"leakcheck: {shown}, so nothing was checked; choose another cutoff")
    if not found.features:
        raise LabelError("leakcheck: there is no feature, so nothing was checked; declare one")
