"""Which candidate for the level to follow, and how far: settled on past cutoffs alone.

At each past cutoff every candidate proposes a move from what was known then; the move that was
needed is known now. A candidate is followed by a weight: the slope, through the origin, of what
was needed on what it proposed, drawn to 0 by THIN cutoffs' worth of doubt and held in [0, 1].
Past cutoffs less than an embargo apart share outcomes, so evidence is counted in embargoes.

The rule: leave out each past cutoff with all that lie within an embargo of it, take the weight
from the rest, and measure how much nearer the weighted move comes than none, by the squared error
of the level over its variance. The candidate with the largest mean gain less one standard error
wins, if that is above 0; else none. Those that measure the present instead of carrying the past
on are trusted before any evidence: `partial` by half, and must gain half an error; `period`, whose
own noise is weighed in it already, in full, and is dropped where it lost by more than an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.level import CANDIDATES, PARTIAL, PERIOD, Known, Proposal
from training.metrics import Floats

TINY = 1e-12
THIN = 2.0
LEAST_CUTOFFS = 3.0
PRIOR = {PARTIAL: 0.5, PERIOD: 1.0}
DEMAND = {PARTIAL: 0.5, PERIOD: -1.0}  # how many standard errors must be gained; others: 1
HALF = 0.5  # how many of them are taken off the gain of a trusted one, beside others
EVIDENCE = 2.0  # embargoes of past cutoffs, below which a trusted candidate is not judged
MOST_SHIFT = 1.5
UNTRIED_SHIFT = 0.25  # the most without a past cutoff to try it on, and for each one more
UNTRIED_PERIOD = 0.5  # at least so much by calendar, which measures: from a rate of .6 to .48

Proposals = Mapping[str, Proposal | None]


@dataclass(frozen=True)
class Trial:
    """One past cutoff: what the candidates proposed then, and the move that turned out right.

    `error`: the standard error of `needed` by the cutoff's own sample.
    """

    day: float
    needed: float
    error: float
    proposals: Proposals


@dataclass(frozen=True)
class Chosen:
    """`weights`, `gains`: by candidate; `drift`: how far the level still lies from the corrected
    one, as a standard deviation over past cutoffs (None without any); `cutoffs`: how many lie an
    embargo apart."""

    name: str
    weight: float
    weights: Mapping[str, float]
    gains: Mapping[str, float]
    drift: float | None
    cutoffs: float

    def shift(self, proposals: Proposals) -> float:
        """What to add to the level of the newest matured cutoff."""
        least = UNTRIED_PERIOD if self.name == PERIOD else 0.0
        most = max(least, UNTRIED_SHIFT * (1 + self.cutoffs))
        return float(np.clip(move(proposals[self.name], self.weight), -most, most))

    def stretch(self, proposals: Proposals) -> tuple[float, float]:
        """What to multiply the distance of log-odds from a middle by, and the middle."""
        proposal = proposals[self.name]
        return (1.0, 0.0) if proposal is None else stretched(proposal, self.weight)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "weight": self.weight,
            "weights": dict(self.weights),
            "gains": dict(self.gains),
            "drift": self.drift,
            "cutoffs": self.cutoffs,
        }


def try_all(known: Known) -> dict[str, Proposal | None]:
    return {name: propose(known) for name, propose in CANDIDATES.items()}


def choose(
    trials: Sequence[Trial], now: Proposals, embargo_days: float, trust: float = 1.0
) -> Chosen:
    """The rule above, on the past cutoffs of `trials`. A candidate that has nothing to say at the
    present cutoff, by `now`, cannot win. `trust`: the share of a weight that no past cutoff has
    tried."""
    trials = sorted(trials, key=lambda trial: trial.day)
    weights, gains, scores = {}, {}, {"none": 0.0}
    for name, proposal in now.items():
        if name == "none" or proposal is None:
            continue
        there = [trial for trial in trials if trial.proposals.get(name) is not None]
        weights[name] = _weight(there, name, embargo_days)
        mean, error, apart = _gain(there, trials, name, embargo_days)
        gains[name] = mean
        if name in PRIOR:
            trusted = apart < EVIDENCE or mean - DEMAND[name] * error > 0
            gained = mean - HALF * error if apart >= EVIDENCE else 0.0
            scores[name] = max(gained, PRIOR[name] * TINY) if trusted else -np.inf
        elif apart >= LEAST_CUTOFFS:
            scores[name] = mean - error
    best = max(scores, key=lambda name: scores[name])
    weight = weights.get(best, 0.0) * (1.0 if trials else trust)
    return Chosen(
        name=best,
        weight=weight,
        weights=weights,
        gains=gains,
        drift=_drift(trials, best, weight, embargo_days),
        cutoffs=_apart(trials, embargo_days),
    )


def move(proposal: Proposal | None, weight: float) -> float:
    """A proposal drawn to none by its own noise and by the weight of its candidate."""
    if proposal is None:
        return 0.0
    return float(np.clip(weight * proposal.surely, -MOST_SHIFT, MOST_SHIFT))


def stretched(proposal: Proposal, weight: float) -> tuple[float, float]:
    return 1.0 + weight * (proposal.stretch - 1.0), proposal.middle


def _apart(trials: Sequence[Trial], embargo_days: float) -> float:
    """How many cutoffs an embargo apart the trials amount to."""
    if not trials:
        return 0.0
    span = max(t.day for t in trials) - min(t.day for t in trials)
    return min(float(len(trials)), 1 + span / embargo_days)


def _columns(trials: Sequence[Trial], name: str) -> tuple[Floats, Floats, Floats]:
    """What was needed, what was proposed, and the weight of each past cutoff."""
    needed = np.array([t.needed for t in trials])
    moves = np.array([move(t.proposals.get(name), 1.0) for t in trials])
    noise = np.array([t.error for t in trials]) ** 2
    between = max(float(np.mean(needed**2 - noise)), 1e-4)
    return needed, moves, 1 / (noise + between)


def _weight(trials: Sequence[Trial], name: str, embargo_days: float) -> float:
    prior = PRIOR.get(name, 0.0)
    if not trials:
        return prior
    needed, moves, sure = _columns(trials, name)
    size = float(sure @ moves**2)
    if size <= TINY:
        return prior
    apart = _apart(trials, embargo_days)
    slope = float(sure @ (moves * needed)) / size
    return float(np.clip((apart * slope + THIN * prior) / (apart + THIN), 0.0, 1.0))


def _gain(
    there: Sequence[Trial], trials: Sequence[Trial], name: str, embargo_days: float
) -> tuple[float, float, float]:
    """Mean gain over none, its standard error, and the cutoffs that it rests on."""
    apart = _apart(there, embargo_days)
    if not there:
        return 0.0, 0.0, 0.0
    needed, moves, sure = _columns(there, name)
    gains = np.empty(len(there))
    for j, trial in enumerate(there):
        rest = [t for t in there if abs(t.day - trial.day) >= embargo_days]
        left = needed[j] - _weight(rest, name, embargo_days) * moves[j]
        gains[j] = sure[j] * (needed[j] ** 2 - left**2)
    spread = float(np.std(gains)) * np.sqrt(apart / max(apart - 1, 0.5))
    return float(gains.mean()), float(spread / np.sqrt(apart)), apart


def _drift(trials: Sequence[Trial], name: str, weight: float, embargo_days: float) -> float | None:
    """The root of the mean square that is left, less the sample's noise, plus as much again as
    few cutoffs leave unknown."""
    if not trials:
        return None
    left = [t.needed - move(t.proposals.get(name), weight) for t in trials]
    noise = float(np.mean([t.error**2 for t in trials]))
    apart = _apart(trials, embargo_days)
    square = float(np.mean(np.square(left)))
    return float(np.sqrt(max(square - noise, 0.0) + square / apart))
