"""`holdfast tune`: a search of the recipe's settings, judged on the calibration slice, and a
training with the best.

Churn and value are searched apart, each by its own loss, trial about trial.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from events.store import open_store
from features.learn import learn_spec
from runtime.clock import show
from runtime.cluster import IN_PROCESS, Cluster, Started, connected
from runtime.device import Device
from runtime.errors import UsageError
from runtime.files import digest_of, remove_folder
from runtime.lock import writing_to
from runtime.progress import Advance, progress, say, tell
from runtime.settings import Settings
from training import trials
from training.fitting import Task
from training.lineage import requirements
from training.plan import plan_of
from training.recipe import TrainResult, snapshots_of, train
from training.spaces import (
    SPACES,
    TARGETS,
    VERSION,
    Params,
    Target,
    pair_of,
    space_of,
    write_winner,
)
from training.split import Split
from training.studies import Finished, Found, Study, Trial, best_of, studies
from training.trials import Asked, Bench, Outcome
from training.tuning_record import MEASURES, Record, recorded

DEFAULT_TRIALS = 40


@dataclass(frozen=True)
class Wanted:
    """`model`: None for the project's; `trials`: for each target, those of earlier calls counted;
    `minutes`: None for as long as that takes."""

    model: str | None = None
    trials: int = DEFAULT_TRIALS
    minutes: float | None = None

    def check(self) -> None:
        """Raises UsageError."""
        if self.trials < 1:
            raise UsageError(f"--trials {self.trials}: nothing would be tried; give 1 or more")
        if self.minutes is not None and not self.minutes > 0:
            raise UsageError(f"--minutes {self.minutes:g}: no time to try anything; give more")


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
    kind = wanted.model or settings.training.model
    space_of(kind)
    with connected(cluster) as started:
        bench, split = _bench(settings, as_of, kind, device, started)
        say(f"tune {kind} as of {show(bench.task.as_of)} on {device.kind} ({device.reason})")
        say(f"fit on {split.fit}; judge on {split.calibrate}; the test slice is not read")
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
    store = open_store(settings, as_of)
    plan = plan_of(settings, store)
    features = learn_spec(store, plan.learn_before, settings)
    snapshots = snapshots_of(settings, store, plan, features, device, cluster)
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
            "steps": [step.days for step in plan.steps],
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


class Search:
    """Batch by batch, as many trials at a time as the cluster works on."""

    def __init__(
        self,
        bench: Bench,
        studies: dict[Target, Study],
        wanted: Wanted,
        started: Started,
        staging: Path,
    ) -> None:
        self.bench, self.studies, self.wanted = bench, studies, wanted
        self.started, self.staging = started, staging
        self.defaults: dict[Target, Params] = {}  # of those that this call began with
        self.until = time.monotonic() + 60 * (wanted.minutes or float("inf"))

    def run(self, record: Record) -> None:
        """Until there are enough trials or the time is up; the default is always tried."""
        for target, study in self.studies.items():
            for trial in study.finished():
                record.trial(target, trial)
        total = self.wanted.trials * len(self.studies)
        with progress("tune", total, "trials") as advance:
            advance(sum(min(len(s.finished()), self.wanted.trials) for s in self.studies.values()))
            while going_on := [target for target in self.studies if self._goes_on(target)]:
                for target in going_on:
                    self._batch(target, record, advance)

    def _goes_on(self, target: Target) -> bool:
        done = self.studies[target].finished()
        in_time = time.monotonic() < self.until or not done
        return len(done) < self.wanted.trials and in_time

    def _batch(self, target: Target, record: Record, advance: Advance) -> None:
        study = self.studies[target]
        if not study.has_begun:
            self.defaults[target] = self._outcomes([Asked(target, None)])[0].params
            study.begin_with(self.defaults[target])
        left = self.wanted.trials - len(study.finished())
        asked = study.ask(self.started.slots, left)
        fits: dict[int, list[Outcome]] = {trial.number: [] for trial in asked}
        hopeless: set[int] = set()
        for step, share in enumerate(study.steps):
            alive = [trial for trial in asked if trial.number not in hopeless]
            found = self._outcomes([self._asked(target, trial, share) for trial in alive])
            for trial, outcome in zip(alive, found, strict=True):
                fits[trial.number].append(outcome)
                if study.is_hopeless(trial, step, outcome.loss) and share < trials.ALL:
                    hopeless.add(trial.number)
        for trial in asked:
            last, seconds = fits[trial.number][-1], sum(f.seconds for f in fits[trial.number])
            loss = None if trial.number in hopeless else last.loss
            done = study.finish(trial, loss, seconds, last.rounds)
            record.trial(target, done)
            _say(target, done, study.finished())
            advance()
        every = [Asked(target, t.params, share) for t in asked for share in study.steps]
        trials.forget([*every, Asked(target, None)], self.staging)

    def _asked(self, target: Target, trial: Trial, share: float) -> Asked:
        """The default has been fitted on all users already, to find what it settles on."""
        is_known = share >= trials.ALL and trial.params == self.defaults.get(target)
        return Asked(target, None if is_known else trial.params, share)

    def _outcomes(self, wanted: Sequence[Asked]) -> list[Outcome]:
        return trials.outcomes(self.bench, wanted, self.staging, self.started)

    def found(self) -> dict[Target, Found]:
        return {target: self._found(target) for target in self.studies}

    def _found(self, target: Target) -> Found:
        done = self.studies[target].finished()
        best, default = best_of(done), best_of([trial for trial in done if trial.is_default])
        gained, error = (0.0, 0.0)
        if not best.is_default:
            gained, error = trials.gain(self.bench, target, best.params)
        return Found(
            trial=best.number,
            loss=best.loss or 0.0,
            default_loss=default.loss or 0.0,
            gain=gained,
            gain_error=error,
            settings=dict(best.params),
            rounds=best.rounds,
            trials=len(done),
            stopped_early=sum(trial.loss is None for trial in done),
        )


def _say(target: Target, trial: Finished, done: Sequence[Finished]) -> None:
    best = best_of(done)
    if trial.loss is None:
        said = f"stopped at {trial.stopped_at:.0%} of the users"
    else:
        said = f"{MEASURES[target]} {trial.loss:.5f}"
    so_far = f"best {target} {best.loss:.5f} (trial {best.number})"
    say(f"{target} trial {trial.number}: {said}; {so_far}")
    tell(so_far)


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
