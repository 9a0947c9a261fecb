"""What the coming season adds to what is carried to the present: see `training.years`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from training.binned import Binned
from training.calibration import Calibrator
from training.early import PARTS
from training.level import BY_YEAR, MEASURED
from training.level_rows import LevelRows
from training.period import towards
from training.years import WEEK


@dataclass(frozen=True)
class Season:
    """`alike`: how far a year is like the next in [0, 1], by activity; `pace`: what is added to the
    logarithm of everybody's hazard; `value_factor`: what expected value is multiplied by."""

    alike: float = 0.0
    pace: float = 0.0
    value_factor: float = 1.0

    @property
    def moves(self) -> bool:
        return self.pace != 0.0 or self.value_factor != 1.0

    @property
    def params(self) -> dict[str, float]:
        """For the tracked run."""
        return {
            "season_alike": self.alike,
            "season_pace": self.pace,
            "season_value_factor": self.value_factor,
        }

    def note(self, shift: float) -> str:
        """What it did, `shift` of it to log-odds of churn."""
        said = ""
        if self.pace:
            said = (
                f"; the season of a year ago moves it by {shift:+.3f} more (the pace was "
                f"{np.exp(self.pace / self.alike):.2f} times as high, years are {self.alike:.0%} "
                "alike)"
            )
        if self.value_factor != 1.0:
            said += f"; expected value is multiplied by {self.value_factor:.3f} for the season"
        return said


def season_of(
    level: LevelRows, now: datetime, calibrated: datetime, candidate: str, weight: float
) -> Season:
    """`calibrated`: the cutoff whose labels the calibration and the level of value are of;
    `candidate`: of `training.level`, what the level of churn is carried by, and how far.

    As far as that is measured in the newest weeks the season is the pace beyond theirs, else that
    beyond the pace of the horizon that began at `calibrated`.
    """
    start, end = level.span.gap_days, level.span.embargo_days
    since = (now - calibrated) / timedelta(days=1) - start
    alike, pace, factor = 0.0, 0.0, 1.0
    if (year := level.years.get(now)) is not None:
        newest = year.change(start, end, max(end / PARTS, float(WEEK.days)))
        seen = weight if candidate in MEASURED else 0.0
        alike = year.alike
        if candidate not in BY_YEAR:
            whole = year.change(start, end, since, since - level.span.horizon_days)
            pace = seen * newest + (1 - seen) * whole
    if (year := level.value_years.get(now)) is not None:
        days = level.value_days
        factor = float(np.exp(year.change(start, start + days, since, since - days)))
    return Season(alike, pace, factor)


def moved_by(season: Season, calibrator: Calibrator, now: Binned) -> tuple[Calibrator, float]:
    """For hazards that are higher by `season.pace`, and how far log-odds have moved. `now`: the
    present's users in calibrated log-odds of churn, which is silence."""
    if not season.pace or not now.rows:
        return calibrator, 0.0
    at = np.array([season.pace, 0.0])  # one step, of the whole horizon
    shift, stretch, middle = towards(at, now.margin, now.mass, silence=True)
    return calibrator.moved(shift, stretch, middle), shift
