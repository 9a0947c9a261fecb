"""The one module that speaks Optuna: what has been tried, what to try next, what matters.

Studies lie in `<tracking>/optuna.db`. One process writes a study, so what it finds unfinished
belongs to one that was killed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.errors import HoldfastError, from_foreign
from runtime.files import digest_of, make_folder
from training.spaces import Params, Range

if TYPE_CHECKING:
    import optuna

AT_RANDOM = 10  # trials before the sampler goes by what it has seen
BEFORE_PRUNING = 5  # trials that are finished before one is stopped
SIDE_BY_SIDE = 4  # settings in a row of the page
WAIT_SECONDS = 60  # for another process that writes to the same file
ENOUGH = 4  # trials with a loss, from which on it can be said what matters
DEFAULT, RETRY, SETTLED = "default", "retry_of", "settled"


@dataclass(frozen=True)
class Trial:
    """One that is under way."""

    number: int
    params: Params


@dataclass(frozen=True)
class Finished:
    """`loss`: on all users, None of one that was stopped early; `seconds` of its fits; `rounds`:
    the trees it settled on, where it has any."""

    number: int
    params: Params
    loss: float | None
    stopped_at: float | None
    is_default: bool
    seconds: float
    rounds: int | None


@dataclass(frozen=True)
class Found:
    """The best of a target. `gain` on the default's loss, with its standard error over users;
    `settings`, `rounds`: of the best; `trials`: all that are finished, the stopped ones too."""

    trial: int
    loss: float
    default_loss: float
    gain: float
    gain_error: float
    settings: dict[str, float]
    rounds: int | None
    trials: int
    stopped_early: int


class Study:
    """A search of one target. `steps`: the shares that a trial is judged at, the last is all."""

    def __init__(
        self, study: optuna.Study, space: Mapping[str, Range], seed: int, steps: Sequence[float]
    ) -> None:
        self.study, self.space, self.seed, self.steps = study, space, seed, tuple(steps)
        self.under_way: dict[int, optuna.trial.Trial] = {}
        self._retry_what_was_killed()

    def _retry_what_was_killed(self) -> None:
        from optuna.trial import TrialState

        waiting = [_fixed(trial) for trial in self._trials(TrialState.WAITING)]
        for trial in self._trials(TrialState.RUNNING):
            # Killed while it was asked for, it has some of them: what it was to be is still known
            # where it was enqueued, and is drawn again by its seed where it was not.
            whole = set(trial.params) == set(self.space)
            params = trial.params if whole else _fixed(trial)
            if params and params not in waiting:
                attributes = {RETRY: trial.number, DEFAULT: trial.user_attrs.get(DEFAULT, False)}
                self.study.enqueue_trial(params, attributes)
            self.study.tell(trial.number, state=TrialState.FAIL)

    def _trials(self, *states: optuna.trial.TrialState) -> list[optuna.trial.FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states)

    def finished(self) -> list[Finished]:
        """In the order of their numbers."""
        from optuna.trial import TrialState

        done = self._trials(TrialState.COMPLETE, TrialState.PRUNED)
        return [self._told(trial) for trial in done]

    def _told(self, trial: optuna.trial.FrozenTrial) -> Finished:
        whole = trial.state.name == "COMPLETE"
        last = trial.last_step
        return Finished(
            number=trial.number,
            params=dict(trial.params),
            loss=trial.value if whole else None,
            stopped_at=None if whole or last is None else self.steps[last],
            is_default=bool(trial.user_attrs.get(DEFAULT)),
            **trial.user_attrs[SETTLED],
        )

    @property
    def has_begun(self) -> bool:
        return bool(self.study.get_trials(deepcopy=False))

    def begin_with(self, params: Params) -> None:
        self.study.enqueue_trial(dict(params), {DEFAULT: True})

    def ask(self, slots: int, most: int) -> list[Trial]:
        """The trials to carry out at once, at most `most`: what killed processes left, then new.

        The k-th trial is sampled with a seed of k, from what was finished before its batch of
        `slots`; so after an interruption the same trials follow.
        """
        done = len(self.finished())
        for place in range(done, done + min(slots - done % slots, most)):
            self.study.sampler = _sampler(self.seed, place)
            trial = self.study.ask(_distributions(self.space))
            self.under_way[trial.number] = trial
        return [Trial(number, trial.params) for number, trial in self.under_way.items()]

    def is_hopeless(self, trial: Trial, step: int, loss: float) -> bool:
        """Notes the loss on a share of the users; whether the trial is to be stopped."""
        asked = self.under_way[trial.number]
        asked.report(loss, step)
        return asked.should_prune()

    def finish(
        self, trial: Trial, loss: float | None, seconds: float, rounds: int | None
    ) -> Finished:
        """With its loss on all users, None where it was stopped."""
        from optuna.trial import TrialState

        asked = self.under_way.pop(trial.number)
        asked.set_user_attr(SETTLED, {"seconds": seconds, "rounds": rounds})
        state = TrialState.PRUNED if loss is None else TrialState.COMPLETE
        return self._told(self.study.tell(asked, loss, state=state))

    def importances(self) -> dict[str, float]:
        """The share of the loss' variance that each setting explains, the greatest first: fANOVA,
        Hutter, Hoos & Leyton-Brown 2014. Empty where too few trials tell."""
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances

        losses = {trial.loss for trial in self.finished() if trial.loss is not None}
        if len(losses) < ENOUGH:
            return {}
        with _quiet():
            judge = FanovaImportanceEvaluator(seed=self.seed)
            return get_param_importances(self.study, evaluator=judge)

    def figures(self, measure: str) -> dict[str, tuple[str, Any]]:
        """Heading to (explanation, plotly figure), of the trials so far."""
        from optuna import visualization as draw

        with _quiet():
            found = {
                "History": (
                    f"The {measure} of each trial on all users, and the best so far.",
                    draw.plot_optimization_history(self.study, target_name=measure),
                ),
                **{
                    f"Slices of {', '.join(some).replace('_', ' ')}": (
                        f"Each setting against the {measure}; later trials are darker.",
                        draw.plot_slice(self.study, [*some], target_name=measure),
                    )
                    for some in _batched(sorted(self.space), SIDE_BY_SIDE)
                },
                "Parallel coordinates": (
                    "A line a trial through its settings; darker is better.",
                    draw.plot_parallel_coordinate(self.study, target_name=measure),
                ),
            }
            if len(self.steps) > 1:
                shares = [f"{step:.0%}" for step in self.steps]
                growing = draw.plot_intermediate_values(self.study)
                growing.update_xaxes(title="users", tickvals=[*range(len(shares))], ticktext=shares)
                found["Growing shares"] = (
                    f"The {measure} as a trial is fitted on more and more of the users; lines that "
                    "end early were stopped.",
                    growing.update_yaxes(title=measure),
                )
        return found


def _batched(names: Sequence[str], most: int) -> list[Sequence[str]]:
    return [names[at : at + most] for at in range(0, len(names), most)]


def best_of(trials: Sequence[Finished]) -> Finished:
    """The least loss; of equal ones the default, then the earliest."""
    whole = [trial for trial in trials if trial.loss is not None]
    return min(whole, key=lambda trial: (trial.loss, not trial.is_default, trial.number))


@contextmanager
def studies(
    folder: Path, named: Mapping[str, tuple[Mapping[str, Range], Sequence[float]]], seed: int
) -> Iterator[dict[str, Study]]:
    """The studies of these names, with their spaces and steps, as they were left; each draws
    settings of its own. Raises OutputError where the disk is full or the folder cannot be
    written."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = make_folder(folder).resolve() / "optuna.db"
    try:
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": WAIT_SECONDS}}
        )
        yield {
            name: Study(
                optuna.create_study(
                    storage=storage,
                    study_name=name,
                    load_if_exists=True,
                    pruner=optuna.pruners.MedianPruner(BEFORE_PRUNING),
                ),
                space,
                int(digest_of(["study", seed, order], 8), 16),
                steps,
            )
            for order, (name, (space, steps)) in enumerate(named.items())
        }
    except HoldfastError:
        raise
    except Exception as error:
        if known := from_foreign(error, str(path)):
            raise known from error
        raise


def _sampler(seed: int, place: int) -> optuna.samplers.TPESampler:
    """Of the trial at one place of the search: Bergstra et al. 2011, over all settings at once."""
    from optuna.samplers import TPESampler

    with _quiet():
        return TPESampler(
            seed=int(digest_of(["trial", seed, place], 8), 16),
            n_startup_trials=AT_RANDOM,
            multivariate=True,
            constant_liar=True,
        )


def _distributions(space: Mapping[str, Range]) -> dict[str, Any]:
    from optuna.distributions import FloatDistribution, IntDistribution

    return {
        name: IntDistribution(int(r.low), int(r.high), log=r.log)
        if r.whole
        else FloatDistribution(r.low, r.high, log=r.log)
        for name, r in space.items()
    }


def _fixed(trial: optuna.trial.FrozenTrial) -> Any:
    return trial.system_attrs.get("fixed_params")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's warnings of what is new in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
