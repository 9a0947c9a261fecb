"""Core users: groups of like behaviour at a cutoff, in words, and whether they hold over time.

Learned on the users of one cutoff and on nothing at or after it. Earlier cutoffs tell how sizes
changed and what became of each group; they change nothing in the groups.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from events.store import EventStore, open_store
from features.learn import learn_spec
from features.matured import longest_horizon_days, matured_cutoffs
from features.snapshots import Snapshots, build_snapshots
from features.time import Cutoff
from runtime.clock import show
from runtime.device import Device
from runtime.errors import LabelError, UsageError
from runtime.files import check_file
from runtime.progress import say
from runtime.settings import Settings
from training.groups_core import core_note
from training.groups_engines import METHODS, Method
from training.groups_file import require_writable, write_groups
from training.groups_fit import fit_groups
from training.groups_model import GroupModel
from training.groups_number import Choice
from training.groups_profile import Profile, profile_columns, profiles
from training.groups_rows import assigned, sample
from training.groups_stability import (
    Moment,
    Movement,
    Refit,
    moment,
    movement,
    notes,
    refit,
)

EARLIER = 4  # cutoffs that the groups are looked at


@dataclass(frozen=True)
class Wanted:
    """`use`: a file of groups saved earlier, applied as they are; `save`: where these go;
    `out`: a Parquet or CSV file of every user's group."""

    method: Method = "kmeans"
    groups: int | None = None
    use: Path | None = None
    save: Path | None = None
    out: Path | None = None


@dataclass(frozen=True)
class Found:
    """`profiles`: of `sampled` users, one a group; `choice`: None for groups that were saved
    earlier; `moments`: of all users, the as-of first."""

    model: GroupModel
    as_of: datetime
    profiles: tuple[Profile, ...]
    sampled: int
    choice: Choice | None
    moments: tuple[Moment, ...]
    movements: tuple[Movement, ...]
    refits: tuple[Refit, ...]
    notes: tuple[str, ...]
    out: Path | None
    saved: Path | None
    seconds: float


@dataclass(frozen=True)
class _Work:
    settings: Settings
    store: EventStore
    wanted: Wanted
    device: Device

    @property
    def seed(self) -> int:
        return self.settings.training.seed

    @property
    def now(self) -> Cutoff:
        return Cutoff(self.store.as_of)


@dataclass(frozen=True)
class _Past:
    """Snapshots at cutoffs before the as-of, newest first; None where nobody was there."""

    snapshots: Snapshots | None
    cutoffs: tuple[Cutoff, ...]
    notes: tuple[str, ...]


def find_groups(
    settings: Settings, as_of: datetime | None, wanted: Wanted, device: Device
) -> Found:
    """Groups of the users eligible as of an instant (default: just after the last event).

    Reads nothing at or after it. Memory: a bucket's features, a sample of users, and a few
    columns of all. Raises UsageError, StoreError, LabelError where nobody is eligible,
    ModelError for saved groups that do not fit, OutputError.
    """
    start = time.perf_counter()
    _require_possible(wanted)
    work = _Work(settings, open_store(settings, as_of), wanted, device)
    say(f"groups as of {show(work.store.as_of)} on {device.kind} ({device.reason})")
    model, choice, snapshots, newest = _model(work)
    seen = tuple(profiles(newest, model.assign(newest), model.numbers, model.spec))
    past = _past(work, model)
    moments, movements, refits, out = _history(work, model, snapshots, past, newest)
    said = [*(choice.notes if choice else ()), *past.notes, *notes(model, moments, refits)]
    said += core_note([one for one in seen if one.number], model.named, model.spec)
    return Found(
        model=model,
        as_of=work.store.as_of,
        profiles=seen,
        sampled=len(newest),
        choice=choice,
        moments=tuple(moments),
        movements=tuple(movements),
        refits=tuple(refits),
        notes=tuple(said),
        out=out,
        saved=model.save(wanted.save) if wanted.save else None,
        seconds=time.perf_counter() - start,
    )


def _require_possible(wanted: Wanted) -> None:
    if wanted.method not in METHODS:
        raise UsageError(f"method '{wanted.method}' is not known; choose {' or '.join(METHODS)}")
    if wanted.use and (wanted.groups is not None or wanted.save):
        raise UsageError(
            "--use: applies groups that were saved, as they are; leave out --groups and --save"
        )
    if wanted.out:
        require_writable(wanted.out)
    if wanted.save:
        check_file(wanted.save, "--save")


def _model(work: _Work) -> tuple[GroupModel, Choice | None, Snapshots, pl.DataFrame]:
    """The groups, how they were chosen, and the users they are of: all and a sample."""
    store, wanted = work.store, work.wanted
    kept = GroupModel.load(wanted.use) if wanted.use else None
    if kept and wanted.use:
        kept.require_fit(wanted.use, store.as_of, work.settings)
    spec = kept.spec if kept else learn_spec(store, work.now, work.settings)
    columns = profile_columns(spec)
    snapshots = build_snapshots(work.settings, store, [work.now], spec, work.device, labelled=False)
    newest = sample(snapshots, work.now, columns, work.seed)
    if kept:
        return kept, None, snapshots, newest
    model, choice = fit_groups(
        newest, spec, store.as_of, wanted.method, wanted.groups, work.seed, work.device
    )
    return model, choice, snapshots, newest


def _past(work: _Work, model: GroupModel) -> _Past:
    """The newest matured cutoff and those a horizon apart before it; on a log too short for
    labels halves and quarters of it, without labels."""
    said: tuple[str, ...] = ()
    try:
        cutoffs, labelled = _matured(work), True
    except LabelError:
        cutoffs, labelled = _unlabelled(work.store), False
        said = ("no label has matured: what became of the groups is not known yet",)
    try:
        taken = build_snapshots(
            work.settings, work.store, cutoffs, model.spec, work.device, labelled
        )
    except LabelError:
        return _Past(None, (), (*said, "nobody was eligible at an earlier cutoff"))
    return _Past(taken, tuple(cutoffs), said)


def _matured(work: _Work) -> list[Cutoff]:
    """At most EARLIER, newest first, a gap and horizon apart; where the history holds one such
    only, the nearest to half as far apart as well."""
    known = matured_cutoffs(work.store, work.settings)
    apart = timedelta(days=work.settings.churn.gap_days + longest_horizon_days(work.settings))
    for distance in (apart, apart / 2):
        found = [known[0]]
        for cutoff in known[1:]:
            if found[-1].at - cutoff.at >= distance and len(found) < EARLIER:
                found.append(cutoff)
        if len(found) > 1:
            return found
    return found


def _unlabelled(store: EventStore) -> list[Cutoff]:
    span = store.as_of - store.first
    return [Cutoff(store.as_of - span / 4), Cutoff(store.as_of - span / 2)]


def _history(
    work: _Work, model: GroupModel, snapshots: Snapshots, past: _Past, newest: pl.DataFrame
) -> tuple[list[Moment], list[Movement], list[Refit], Path | None]:
    """Everyone at the as-of and then at each cutoff before it; two cutoffs in memory at a time."""
    later_at, later = work.now, assigned(model, snapshots, work.now)
    wanted = work.wanted.out
    out = write_groups(wanted, later, model, work.store.as_of) if wanted else None
    moments = [moment(later_at, later, model.numbers)]
    movements: list[Movement] = []
    refits: list[Refit] = []
    if past.snapshots is None:
        return moments, [], [], out
    for cutoff in past.cutoffs:
        rows = assigned(model, past.snapshots, cutoff)
        if not len(rows):
            continue
        moments.append(moment(cutoff, rows, model.numbers))
        movements.append(movement(cutoff, later_at, rows, later, model.numbers))
        then = sample(past.snapshots, cutoff, profile_columns(model.spec), work.seed)
        found = refit(model, cutoff, then, newest, work.seed, work.device)
        refits += [found] if found else []
        later_at, later = cutoff, rows
    return moments, movements, refits, out
