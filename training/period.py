"""Churn by calendar instead of by cutoff: the present calibration from a period life table.

Labels of the newest matured cutoff tell of a horizon that began a whole embargo ago. What came
after is known in parts: at a cutoff a week old, the first week. So the horizon is cut into steps,
and the hazard of each (to end the wait in it, having waited until then) is learned from all
cutoffs at which that step has passed, whatever their later ones. As a period life table in
demography: every step is seen in the newest weeks, by users as old as those of today.

The hazard summed over step k, in the j-th stretch of calendar before now, has the logarithm
`a[k] + (1 + b[k]) * x + level[j]`, where x is the logarithm of the whole horizon's by the
calibration that is to be moved: where nothing has changed b is 0 and the steps come to that
calibration again, whatever its shape. The level walks at random from stretch to stretch; how far
is not known and is averaged over, by the evidence for each pace (Laplace's approximation; MacKay
1992). A level that stands still is so learned from all stretches, one that moves from the newest.
The present level is the newest stretch's, which is 0 by definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.binned import Binned
from training.calibration import FAR, sigmoid
from training.metrics import Floats
from training.threads import one_blas_thread

PLACES = 64  # of log-odds in a cell: the hazard is smooth in them
MOST_STRETCHES = 12
PACES = (0.003, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)  # of the walk: log-odds a stretch
STEP_SPREAD, SLOPE_SPREAD = 1.5, 0.3  # between neighbouring steps, of a and of b
ANY, SLOPES = 10.0, 0.5  # of any a, of any b
LEAST_ENDED = 20.0
LEAST_STRETCH, MOST_STRETCH = 0.5, 2.0
NEWTON_STEPS, CLOSE = 40, 1e-7
LEAST_HAZARD, MOST_HAZARD = 1e-12, 50.0


@dataclass(frozen=True)
class Cell:
    """Who waited until a step of the horizon at one cutoff, and who ended the wait in it.

    `age`: stretches of calendar since the step ended. Shape (places,).
    """

    step: int
    age: int
    x: Floats
    waited: Floats
    ended: Floats


@dataclass(frozen=True)
class Moved:
    """From calibrated log-odds z to the present's: z + shift + (stretch - 1) * (z - middle).

    `error`: standard error of the shift; `pace`: how far the level walks in a stretch, on average
    over the paces.
    """

    shift: float
    stretch: float
    middle: float
    error: float
    pace: float


def cells(outcomes: Sequence[Binned], ages: Sequence[int], silence: bool) -> list[Cell]:
    """One for each step of a cutoff whose outcomes by the end of the steps, from the first on, are
    known: `outcomes` in order, on the same places. `silence`: churn is that nothing happens.
    """
    found = []
    waited = outcomes[0].mass if outcomes else np.empty(0)
    for step, (one, age) in enumerate(zip(outcomes, ages, strict=True)):
        if len(one.mass) != len(waited):
            break  # other rows are known than a step before
        still = one.churn if silence else one.mass - one.churn
        if waited.sum() <= 0:
            break
        ended = np.maximum(waited - still, 0.0)
        found.append(_fewer(Cell(step, age, one.margin, waited, ended)))
        waited = np.minimum(still, waited)
    return found


def _fewer(cell: Cell) -> Cell:
    places = len(cell.x)
    many = min(PLACES, places)
    starts = np.unique(np.arange(many) * places // many)
    waited = np.add.reduceat(cell.waited, starts)
    # The mean log-odds of those who waited; any of the group's where none did.
    total = np.add.reduceat(cell.waited * cell.x, starts)
    x = np.where(waited > 0, total / np.maximum(waited, 1e-300), cell.x[starts])
    return Cell(cell.step, cell.age, x, waited, np.add.reduceat(cell.ended, starts))


@one_blas_thread()
def moved(
    found: Sequence[Cell], slope: float, level: float, now: Binned, steps: int, silence: bool
) -> Moved | None:
    """How calibrated log-odds `slope * margin + level` must move to hold from now on.

    `now`: the margins of the present's users. None where some step was never seen, or too few
    waits have ended to tell.
    """
    kept = [cell for cell in found if cell.age < MOST_STRETCHES]
    ended = np.zeros(steps)
    for cell in kept:
        ended[cell.step] += cell.ended.sum()
    if now.rows <= 0 or ended.sum() < LEAST_ENDED or {c.step for c in kept} != set(range(steps)):
        return None
    table = _table(kept, slope, level, steps, silence)
    z = slope * now.margin + level
    lines = [_line(table, pace, z, now.mass, silence) for pace in PACES]
    evidence = np.array([line[-1] for line in lines])
    weight = np.exp(evidence - evidence.max())
    weight /= weight.sum()
    shift, stretch, middle, variance = (weight @ np.array([ln[:4] for ln in lines])).tolist()
    between = float(weight @ (np.array([line[0] for line in lines]) - shift) ** 2)
    return Moved(
        shift=shift,
        stretch=float(np.clip(stretch, LEAST_STRETCH, MOST_STRETCH)),
        middle=middle,
        error=float(np.sqrt(variance + between)),
        pace=float(np.sqrt(weight @ np.square(PACES))),
    )


@dataclass(frozen=True)
class _Table:
    """`design` (rows, 2 * steps + stretches - 1): step, step times x, stretch but the newest."""

    design: Floats
    x: Floats
    waited: Floats
    ended: Floats
    steps: int
    stretches: int


def _table(found: Sequence[Cell], slope: float, level: float, steps: int, silence: bool) -> _Table:
    step = np.concatenate([np.full(len(c.x), c.step) for c in found])
    age = np.concatenate([np.full(len(c.x), c.age) for c in found])
    x = _log_hazard(slope * np.concatenate([c.x for c in found]) + level, silence)
    age = age - age.min()
    stretches = int(age.max()) + 1
    which = np.eye(steps)[step]
    design = np.hstack([which, which * x[:, None], np.eye(stretches)[age][:, 1:]])
    waited = np.concatenate([c.waited for c in found])
    ended = np.concatenate([c.ended for c in found])
    return _Table(design, x, waited, ended, steps, stretches)


def _log_hazard(z: Floats, silence: bool) -> Floats:
    """The logarithm of the hazard summed over the horizon, of log-odds of churn."""
    wait = -z if silence else z
    return np.asarray(np.log(np.maximum(np.logaddexp(0.0, wait), LEAST_HAZARD)))


def _line(
    table: _Table, pace: float, z: Floats, mass: Floats, silence: bool
) -> tuple[float, float, float, float, float]:
    """Shift, stretch, middle, the shift's variance, and the log evidence for the pace."""
    at, information, evidence = _fit(table, _precision(table, pace))
    own = 2 * table.steps
    shift, stretch, middle = towards(at[:own], z, mass, silence)
    nudge = 1e-4
    slope = np.array(
        [
            (towards(at[:own] + nudge * unit, z, mass, silence)[0] - shift) / nudge
            for unit in np.eye(own)
        ]
    )
    covariance = np.linalg.inv(information)[:own, :own]
    walk = (table.stretches - 1) * np.log(pace)
    return shift, stretch, middle, float(slope @ covariance @ slope), evidence - walk


def towards(at: Floats, z: Floats, mass: Floats, silence: bool) -> tuple[float, float, float]:
    """Shift, stretch and middle of the line nearest to what the hazards of `at`, first the a of all
    steps and then their b, come to over the whole horizon. `z`, `mass`: log-odds of churn now and
    the users who have them, shape (n,)."""
    a, b = np.split(at, 2)
    x = _log_hazard(z, silence)
    hazard = np.exp(np.clip(a[:, None] + (1 + b[:, None]) * x[None, :], -FAR, FAR)).sum(0)
    hazard = np.clip(hazard, LEAST_HAZARD, MOST_HAZARD)
    odds = -hazard - np.log(-np.expm1(-hazard))
    odds = np.clip(odds if silence else -odds, -FAR, FAR)
    p = sigmoid(odds)
    weight = mass * p * (1 - p) + 1e-300
    middle = float(weight @ z / weight.sum())
    off = odds - z
    shift = float(weight @ off / weight.sum())
    spread = float(weight @ (z - middle) ** 2)
    tilt = float(weight @ ((z - middle) * (off - shift))) / spread if spread > CLOSE else 0.0
    return shift, 1.0 + tilt, middle


def _precision(table: _Table, pace: float) -> Floats:
    """Of the prior: neighbouring steps are alike, and neighbouring stretches."""
    k, size = table.steps, table.design.shape[1]
    found = np.diag(np.r_[np.full(k, ANY**-2), np.full(k, SLOPES**-2), np.zeros(size - 2 * k)])
    for start, spread in ((0, STEP_SPREAD), (k, SLOPE_SPREAD)):
        for one in range(start, start + k - 1):
            found[one : one + 2, one : one + 2] += np.array([[1, -1], [-1, 1]]) / spread**2
    for one in range(2 * k, size):
        found[one, one] += 1 / pace**2  # the step to it from the newer one, which is 0 at first
        if one > 2 * k:
            found[one - 1, one - 1] += 1 / pace**2
            found[one, one - 1] -= 1 / pace**2
            found[one - 1, one] -= 1 / pace**2
    return found


def _fit(table: _Table, precision: Floats) -> tuple[Floats, Floats, float]:
    """The likeliest parameters, the information about them, and the log evidence but for what no
    pace changes. Newton's method, each step halved until it helps."""
    at = np.zeros(table.design.shape[1])
    at[: table.steps] = -np.log(table.steps)
    height = _height(table, precision, at)
    for _ in range(NEWTON_STEPS):
        pull, information = _bend(table, precision, at)
        slope = table.design.T @ pull - precision @ at
        step = np.linalg.solve(information, slope)
        share = 1.0
        while (new := _height(table, precision, at + share * step)) < height and share > CLOSE:
            share /= 2
        if new < height:
            break
        at, gained, height = at + share * step, new - height, new
        if gained < CLOSE:
            break
    _, information = _bend(table, precision, at)
    return at, information, height - 0.5 * float(np.linalg.slogdet(information)[1])


def _bend(table: _Table, precision: Floats, at: Floats) -> tuple[Floats, Floats]:
    """The slope of the log-likelihood in each row's log hazard, and the information expected."""
    hazard, p = _hazard(table, at)
    weight = table.waited * hazard**2 * np.exp(-hazard) / p
    pull = hazard * (table.ended / p - table.waited)
    return pull, table.design.T @ (weight[:, None] * table.design) + precision


def _hazard(table: _Table, at: Floats) -> tuple[Floats, Floats]:
    hazard = np.exp(np.clip(table.design @ at + table.x, -FAR, FAR))
    hazard = np.clip(hazard, LEAST_HAZARD, MOST_HAZARD)
    return hazard, -np.expm1(-hazard)


def _height(table: _Table, precision: Floats, at: Floats) -> float:
    hazard, p = _hazard(table, at)
    likely = table.ended @ np.log(p) - (table.waited - table.ended) @ hazard
    return float(likely - 0.5 * at @ precision @ at)
