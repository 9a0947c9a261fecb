"""BG/NBD and MBG/NBD fitted: from histories to parameters with intervals."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from runtime.errors import ModelError
from training.buying_data import Groups, Histories, group
from training.buying_fit import Derivatives, Fit, Objective, Optimum, covariance, maximise, notes
from training.buying_likelihood import Sums, derivatives, sums
from training.buying_predict import EXTRA, NAMES, Kind
from training.buying_unseen import Unseen
from training.metrics import Floats

PAIRS = ((0, 1), (2, 3))  # a law of rates, a law of leaving
STARTS = ((0.5, 0.3, 1.0, 3.0), (1.0, 1.0, 0.3, 2.0), (3.0, 3.0, 3.0, 3.0))
SAMPLE = 20_000  # different histories that the starts are tried on


def fit_bgnbd(chunks: Iterable[Histories], kind: Kind = "bg/nbd", device: str = "cpu") -> Fit:
    """Parameters (r, alpha, a, b) by maximum likelihood; alpha in the histories' unit of time.

    The starts are tried on a sample of the histories, the best end is finished on all of them.
    Raises ModelError where no customer bought again: nothing could be told.
    """
    return fit_groups(group(chunks), kind, device)


def fit_groups(
    groups: Groups, kind: Kind = "bg/nbd", device: str = "cpu", hidden: Unseen | None = None
) -> Fit:
    """The same of histories that are grouped already. `hidden`: what the choice of customers
    hides, if anything."""
    repeats = float((groups.weight * groups.frequency).sum())
    if repeats == 0:
        raise ModelError(
            f"{kind}: none of {groups.customers:,} customers bought again, so neither how often "
            "they buy nor when they leave can be told; take a longer log"
        )
    # In units of the mean age every parameter is about 1.
    unit = float((groups.weight * groups.age).sum()) / groups.customers
    scaled = groups.over(unit)
    optimum = _search(scaled, EXTRA[kind], device, hidden.over(unit) if hidden else None)
    values = np.exp(optimum.at) * (1, unit, 1, 1)
    # A density in time is smaller by the unit for each repeat.
    likelihood = optimum.value - repeats * float(np.log(unit))
    told = notes(NAMES, optimum, PAIRS)
    return Fit(
        NAMES,
        tuple(values.tolist()),
        covariance(optimum, PAIRS),
        likelihood,
        groups.customers,
        optimum.steps,
        told,
    )


def fit_likelier(
    groups: Groups, kind: Kind | None, device: str = "cpu", hidden: Unseen | None = None
) -> tuple[Kind, Fit]:
    """Of a kind, or of the one of the greater likelihood: both have four parameters. Of a tie the
    first."""
    kinds: list[Kind] = [kind] if kind else list(EXTRA)
    fits = [fit_groups(groups, one, device, hidden) for one in kinds]
    best = int(np.argmax([fit.log_likelihood for fit in fits]))
    return kinds[best], fits[best]


def _search(groups: Groups, extra: int, device: str, hidden: Unseen | None) -> Optimum:
    step = max(1, len(groups.weight) // SAMPLE)
    sample = groups.every(step)
    if not sample.frequency.any():
        step, sample = 1, groups
    some = hidden.share(sample.customers / groups.customers) if hidden else None
    few = _logarithmic(sums(sample, extra, device), some)
    ends = [maximise(few, np.log(start).tolist()) for start in STARTS]
    best = max(ends, key=lambda end: end.value)
    if step == 1:
        return best
    return maximise(_logarithmic(sums(groups, extra, device), hidden), best.at.tolist())


def _logarithmic(data: Sums, hidden: Unseen | None) -> Objective:
    """The likelihood and its derivatives in the logarithms of the parameters."""

    def objective(logarithms: Floats) -> Derivatives:
        values = np.exp(logarithms)
        value, gradient, hessian = derivatives(data, values)
        gradient = gradient * values
        hessian = hessian * np.outer(values, values) + np.diag(gradient)
        if hidden is None:
            return value, gradient, hessian
        chance, slope, curve = hidden.derivatives(logarithms, data.extra)
        return value - chance, gradient - slope, hessian - curve

    return objective
