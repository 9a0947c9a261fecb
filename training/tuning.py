"""`holdfast tune`: a search of the recipe's settings, judged on the calibration slice, and a
training with the best.

Churn and value are searched apart, each by its own loss, trial about trial.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from events.store import open_store
from features.learn import learn_spec
from runtime.clock import show
from runtime.cluster import IN_PROCESS, Cluster, connected
from runtime.device import Device
from runtime.files import digest_of, remove_folder
from runtime.interrupt import unbroken
from runtime.lock import writing_to
from runtime.progress import say
from runtime.settings import Settings
from training import trials
from training.lineage import requirements
from training.prepare import judged_snapshots, snapshots_of
from training.recipe import TrainResult, train
from training.sample import sampled
from training.search import Search, Wanted
from training.spaces import (
    SPACES,
    TARGETS,
    VERSION,
    Target,
    pair_of,
    space_of,
    write_winner,
)
from training.split import Split
from training.studies import Found, studies
from training.task import Task
from training.trials import Bench
from training.tuning_record import recorded


@dataclass(frozen=True)
class TuneResult:
    """`training`: of the winner, which is registered; `tuning_run_id`: of the search; `file`: the
    winning settings."""

    model: str
    as_of: datetime
    tuning_run_id: str
    found: dict[Target, Found]
    file: Path
    training: TrainResult
    seconds: float
    notes: tuple[str, ...]


def tune(
    settings: Settings,
    as_of: datetime | None,
    wanted: Wanted,
    device: Device,
    cluster: Cluster = IN_PROCESS,
) -> TuneResult:
    """Searches, then trains with what was found. Goes on where an earlier call was interrupted.

    Raises UsageError, StoreError without events or where another process is at the same search,
    LabelError, BucketError where a fit fails twice, ClusterError, OutputError.
    """
    start = time.perf_counter()
    wanted.check()
    usual = settings.training.model  # which may name no single kind
    kind = wanted.model or (usual if usual in SPACES else "xgboost")
    space_of(kind)
    with connected(cluster) as started:
        bench, split = _bench(settings, as_of, kind, device, started)
        say(f"tune {kind} as of {show(bench.task.as_of)} on {device.kind} ({device.reason})")
        say(f"fit on {split.fit}; judge on {split.calibrate}; nothing of the test slice is used")
        staging = settings.store / ".staging" / f"tune-{bench.digest}"
        with writing_to(staging):
            steps = {target: trials.shares(bench, target) for target in trials.held(bench).rows}
            named = {_name(kind, t, bench): (SPACES[kind], steps[t]) for t in steps}
            with studies(settings.tracking, named, bench.task.seed) as opened:
                by_target = dict(zip(steps, opened.values(), strict=True))
                search = Search(bench, by_target, wanted, started, staging)
                result = _searched(settings, search, split, start)
            remove_folder(staging)
    return result


def _bench(
    settings: Settings, as_of: datetime | None, kind: str, device: Device, cluster: Cluster
) -> tuple[Bench, Split]:
    """What a training as of then would fit on."""
    everyone = open_store(settings, as_of)
    store, plan = sampled(settings, everyone)
    features = learn_spec(everyone, plan.learn_before, settings)
    given = (settings, store, plan, features, device, cluster)
    snapshots = judged_snapshots(*given) or snapshots_of(*given)
    seed = settings.training.seed
    task = Task(
        kind, features, snapshots.features, store.as_of, seed, device, plan.steps, plan.measured
    )
    digest = digest_of(
        {
            "version": VERSION,
            "data": snapshots.digest,
            "as_of": show(store.as_of),
            "fit": repr(plan.split.fit),
            "calibrate": repr(plan.split.calibrate),
            "steps": list(plan.days),
            "kind": kind,
            "space": repr(SPACES[kind]),
            "seed": seed,
            "device": device.kind,
            "libraries": requirements(),
        }
    )
    return Bench(snapshots, plan.split.fit, plan.split.calibrate, task, digest), plan.split


def _name(kind: str, target: Target, bench: Bench) -> str:
    return f"{kind} {target} {bench.digest}"


def _searched(settings: Settings, search: Search, split: Split, start: float) -> TuneResult:
    bench = search.bench
    task = bench.task
    with recorded(settings, bench, split) as record:
        search.run(record)
        found = search.found()
        trials.let_go()
        notes = _notes(found, split)
        winning = {target: one.settings for target, one in found.items()}
        file = settings.tracking / "tuned" / f"{task.kind}-{bench.digest}.json"
        write_winner(file, task.kind, winning)
        spec = pair_of(task.kind, winning, task.seed)
        trained = train(settings, task.as_of, task.kind, task.device, search.started, spec)
        with unbroken():
            record.close(search.studies, found, notes, file, trained)
        run_id = record.run.run_id
    return TuneResult(
        model=task.kind,
        as_of=task.as_of,
        tuning_run_id=run_id,
        found=found,
        file=file,
        training=trained,
        seconds=time.perf_counter() - start,
        notes=tuple(dict.fromkeys((*notes, *trained.notes))),
    )


def _notes(found: dict[Target, Found], split: Split) -> tuple[str, ...]:
    notes = [*split.notes]
    notes += [
        f"{t}: nothing to learn in this log; left as it is" for t in TARGETS if t not in found
    ]
    for target, one in found.items():
        if one.loss == one.default_loss:
            notes.append(f"{target}: nothing tried beats the default settings, which are kept")
        elif one.gain < 2 * one.gain_error:
            notes.append(
                f"{target}: the gain on the default settings ({one.gain:.5f}, standard error "
                f"{one.gain_error:.5f} over users) may be chance"
            )
    return tuple(notes)
