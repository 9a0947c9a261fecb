"""Which cutoffs a training uses for what, and at which horizon it can be measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count, takewhile

from events.store import EventStore
from features.matured import longest_horizon_days, matured_cutoffs, spacing_days
from features.steps import shortened
from features.time import Cutoff
from runtime.errors import LabelError
from runtime.settings import Settings
from training.split import Split, plan_split, with_recent
from training.stepwise import Step, steps_in


@dataclass(frozen=True)
class Plan:
    """`steps`: those that the horizon is learned by, none for as one; `measured`: the step that a
    young log is measured at, None where labels of the whole horizon have matured."""

    split: Split
    steps: tuple[Step, ...]
    measured: Step | None

    @property
    def days(self) -> tuple[int, ...]:
        """Where the steps end, in days after the gap."""
        return tuple(step.days for step in self.steps)

    @property
    def learn_before(self) -> Cutoff:
        """Vocabulary and categories are learned before this: neither a row that is fitted on nor
        one that is tested on may know of later ones."""
        return min(self.split.fit.cutoffs[0], self.split.test.cutoffs[0])


def plan_of(settings: Settings, store: EventStore) -> Plan:
    """All matured cutoffs are offered; the split chooses the few it needs, stages first.

    Where no label of the horizon has matured it is learned by steps, and the longest step that
    has a label takes its place in the split. Raises LabelError where there is none either.
    """
    steps = steps_in(settings)
    asked, measured, cutoffs = _matured(settings, store, steps)
    embargo = timedelta(days=settings.churn.gap_days + longest_horizon_days(asked))
    split = plan_split(cutoffs, embargo, settings.training.cutoffs)
    if not steps or (settings.training.steps is None and measured is None):
        return Plan(split, (), None)
    recent = _recent(settings, store, cutoffs[0], steps[0].known_after)
    split = with_recent(split, [*recent, *cutoffs], steps[0].known_after, len(steps))
    if measured:
        split = replace(split, notes=(*split.notes, _young(settings, measured)))
    return Plan(split, steps, measured)


def _matured(
    settings: Settings, store: EventStore, steps: tuple[Step, ...]
) -> tuple[Settings, Step | None, list[Cutoff]]:
    """The settings whose labels have matured, the step they end with, and the cutoffs."""
    try:
        return settings, None, matured_cutoffs(store, settings)
    except LabelError as error:
        for step in reversed(steps[:-1]):
            asked = shortened(settings, step.days)
            try:
                return asked, step, matured_cutoffs(store, asked)
            except LabelError:
                continue
        raise error


def _recent(
    settings: Settings, store: EventStore, newest: Cutoff, first_known: timedelta
) -> list[Cutoff]:
    """Cutoffs after the newest matured one that have a label of the first step: the last instant
    that has, and as far apart before it as others are."""
    every = timedelta(days=spacing_days(settings))
    earlier = (Cutoff(store.covered_until - first_known - k * every) for k in count())
    return list(takewhile(lambda cutoff: cutoff.at - newest.at > every / 2, earlier))


def _young(settings: Settings, measured: Step) -> str:
    return (
        f"no label of {longest_horizon_days(settings)} days has matured: measured at "
        f"{measured.days} days, and carried on from there by the steps that are known"
    )
