"""Calibration over several later cutoffs at once: one slope, a level for each, pooled in part.

One small slice says little of the slope and not much more of its own level. The slope is that of
all slices; each level is drawn to their mean by as much as its own noise outweighs the spread
between cutoffs (random effects, DerSimonian & Laird 1986; empirical Bayes, Morris 1983).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.binned import Binned, Lines, fit_lines
from training.calibration import Calibrator
from training.metrics import Floats


@dataclass(frozen=True)
class Joint:
    """`levels`, `errors`: partly pooled, of the cutoffs in their order, (slices,); `between`: the
    variance of the level between cutoffs; `own`: how much of each level is its own, in [0, 1]."""

    lines: Lines
    levels: Floats
    errors: Floats
    between: float
    own: Floats

    def calibrator(self, slice_: int = -1) -> Calibrator:
        """The line of one cutoff: rises with the log-odds, so ranks are kept."""
        return Calibrator(self.lines.slope, float(self.levels[slice_]))


def fit_jointly(slices: list[Binned]) -> Joint | None:
    """Of slices in the order of time; None where no row of one class is among all of them."""
    slices = [one for one in slices if one.rows > 0]
    churned, rows = sum(float(b.churn.sum()) for b in slices), sum(b.rows for b in slices)
    if churned <= 0 or churned >= rows:
        return None
    lines = fit_lines(slices)
    between = spread_between(lines.level, lines.error)
    mean = _mean(lines.level, lines.error, between)
    own = between / (between + lines.error**2) if len(slices) > 1 else np.ones(1)
    levels = own * lines.level + (1 - own) * mean
    return Joint(lines, levels, _errors(lines.error, between, own), between, own)


def spread_between(levels: Floats, errors: Floats) -> float:
    """The variance between levels beyond their errors. DerSimonian & Laird 1986, eq. 8."""
    if len(levels) == 1:
        return 0.0
    sure = 1 / errors**2
    mean = float(sure @ levels / sure.sum())
    apart = float(sure @ (levels - mean) ** 2)
    scale = float(sure.sum() - (sure @ sure) / sure.sum())
    return max((apart - (len(levels) - 1)) / max(scale, 1e-12), 0.0)


def _mean(levels: Floats, errors: Floats, between: float) -> float:
    sure = 1 / (errors**2 + between)
    return float(sure @ levels / sure.sum())


def _errors(errors: Floats, between: float, own: Floats) -> Floats:
    """Of the pooled levels: what is left of their own noise, and that of the common mean."""
    of_mean = 1 / float((1 / (errors**2 + between)).sum())
    return np.asarray(np.sqrt(own * errors**2 + (1 - own) ** 2 * of_mean))
