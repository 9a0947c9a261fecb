"""An interval for each user's churn probability.

What it covers: the share that churns among users of the same score at the present cutoff. Its
width has three parts, on the log-odds: the slope's error, which grows with the distance from the
mean score; the level's error; and the drift of the level between cutoffs that is left after the
correction, as measured over past cutoffs. What it does not cover: the one user's outcome (that is
0 or 1), what the model cannot see, and a model that ranks differently than it did.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from training.binned import Lines, binned, fit_lines
from training.calibration import FAR, sigmoid
from training.level_choice import Chosen
from training.metrics import Floats

CONFIDENCE = 0.9
ASSUMED_DRIFT = 0.3  # log-odds; about 7 points of a base rate of one half


@dataclass(frozen=True)
class ChurnInterval:
    """`drift_measured`: False where no past cutoff tells the drift, and ASSUMED_DRIFT stands in
    for it, which `drift_notes` says."""

    slope_error: float
    level_error: float
    middle: float
    drift: float
    drift_measured: bool
    confidence: float = CONFIDENCE

    def __call__(self, margin: Floats, probability: Floats) -> tuple[Floats, Floats]:
        """Low and high, shape (n,), about calibrated probabilities (n,) of log-odds (n,)."""
        from scipy.special import logit
        from scipy.stats import norm

        times = float(norm.ppf(0.5 + self.confidence / 2))
        away = self.slope_error * (margin - self.middle)
        width = times * np.sqrt(away**2 + self.level_error**2 + self.drift**2)
        middle = np.clip(logit(probability), -FAR, FAR)
        low, high = sigmoid(np.clip([middle - width, middle + width], -FAR, FAR))
        return np.minimum(low, probability), np.maximum(high, probability)

    def of_line(self, scale: float, shift: float) -> ChurnInterval:
        """That says of log-odds m what this one says of `scale` m + `shift`; `scale` above 0."""
        middle = (self.middle - shift) / scale
        return replace(self, slope_error=self.slope_error * scale, middle=middle)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> ChurnInterval:
        return cls(**raw)


def drift_notes(interval: ChurnInterval | None) -> tuple[str, ...]:
    """What the interval takes for granted."""
    if interval is None or interval.drift_measured:
        return ()
    return (
        f"churn_low and churn_high assume that churn's level drifts by {interval.drift:g} of "
        "log-odds: no past cutoffs tell how far it does",
    )


def of_one_slice(margin: Floats, churn: Floats) -> ChurnInterval:
    """From log-odds and outcomes (0 or 1) of one calibration slice, shape (n,), n > 0: how the
    level drifts is not known, so ASSUMED_DRIFT stands in for it."""
    lines = fit_lines([binned(margin, churn)])
    return ChurnInterval(
        slope_error=lines.slope_error,
        level_error=float(lines.error[-1]),
        middle=lines.middle,
        drift=ASSUMED_DRIFT,
        drift_measured=False,
    )


def churn_interval(lines: Lines, chosen: Chosen, confidence: float = CONFIDENCE) -> ChurnInterval:
    """From the lines through the calibration slices (the newest last) and the chosen level."""
    known = chosen.drift is not None
    return ChurnInterval(
        slope_error=lines.slope_error,
        level_error=float(lines.error[-1]),
        middle=lines.middle,
        drift=ASSUMED_DRIFT if chosen.drift is None else chosen.drift,
        drift_measured=known,
        confidence=confidence,
    )
