"""The trials of a search, carried out: batch by batch, as many at a time as a cluster works on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.cluster import Started
from runtime.errors import UsageError
from runtime.interrupt import unbroken
from runtime.progress import Advance, progress, say, tell
from training import trials
from training.spaces import Params, Target
from training.studies import Finished, Found, Study, Trial, best_of
from training.trials import Asked, Bench, Outcome
from training.tuning_record import MEASURES, Record

DEFAULT_TRIALS = 40


@dataclass(frozen=True)
class Wanted:
    """`model`: None for the project's, XGBoost where that is no single kind; `trials`: for each
    target, those of earlier calls counted; `minutes`: None for as long as that takes."""

    model: str | None = None
    trials: int = DEFAULT_TRIALS
    minutes: float | None = None

    def check(self) -> None:
        """Raises UsageError."""
        if self.trials < 1:
            raise UsageError(f"--trials {self.trials}: nothing would be tried; give 1 or more")
        if self.minutes is not None and not self.minutes > 0:
            raise UsageError(f"--minutes {self.minutes:g}: no time to try anything; give more")


class Search:
    """`staging`: where workers leave the figures of fits that are not in a study yet."""

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
                with unbroken():
                    record.trial(target, trial)
        total = self.wanted.trials * len(self.studies)
        with progress("tune", total, "trials") as advance:
            advance(sum(min(len(s.finished()), self.wanted.trials) for s in self.studies.values()))
            while going_on := [target for target in self.studies if self._goes_on(target)]:
                for target in going_on:
                    if self._goes_on(target):  # still: a batch of another may have taken long
                        self._batch(target, record, advance)

    def _goes_on(self, target: Target) -> bool:
        done = self.studies[target].finished()
        in_time = time.monotonic() < self.until or not done
        return len(done) < self.wanted.trials and in_time

    def _batch(self, target: Target, record: Record, advance: Advance) -> None:
        study = self.studies[target]
        if not study.has_begun:
            self.defaults[target] = self._outcomes([Asked(target, None)])[0].params
        with unbroken():
            if not study.has_begun:
                study.begin_with(self.defaults[target])
            asked = study.ask(self.started.slots, self.wanted.trials - len(study.finished()))
        fits: dict[int, list[Outcome]] = {trial.number: [] for trial in asked}
        hopeless = self._fitted(target, asked, fits)
        for trial in asked:
            last, seconds = fits[trial.number][-1], sum(f.seconds for f in fits[trial.number])
            loss = None if trial.number in hopeless else last.loss
            with unbroken():
                done = study.finish(trial, loss, seconds, last.rounds)
                record.trial(target, done)
            _say(target, done, study.finished())
            advance()
        every = [Asked(target, t.params, share) for t in asked for share in study.steps]
        trials.forget([*every, Asked(target, None)], self.staging)

    def _fitted(
        self, target: Target, asked: Sequence[Trial], fits: dict[int, list[Outcome]]
    ) -> set[int]:
        """Adds the fits on growing shares of the users; the trials that were stopped."""
        study, hopeless = self.studies[target], set[int]()
        for step, share in enumerate(study.steps):
            alive = [trial for trial in asked if trial.number not in hopeless]
            found = self._outcomes([self._asked(target, trial, share) for trial in alive])
            for trial, outcome in zip(alive, found, strict=True):
                fits[trial.number].append(outcome)
                with unbroken():
                    is_hopeless = study.is_hopeless(trial, step, outcome.loss)
                if is_hopeless and share < trials.ALL:
                    hopeless.add(trial.number)
        return hopeless

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
