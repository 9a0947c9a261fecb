"""A feature's value in words, beside the value that is typical."""

from __future__ import annotations

import math
import re

import numpy as np
import numpy.typing as npt

from features.dictionary import SHOWN, phrase
from features.family import Feature
from features.spec import FeatureSpec

NONE = {"no": "none"}  # how a count of 0 is said when no noun follows it
Floats = npt.NDArray[np.float64]


def rounded(values: Floats, money: npt.NDArray[np.bool_]) -> Floats:
    """As finely as values are said and no finer, so that few are left to be put into words.

    Shape (n,), both; NaN where not finite. Money keeps its cents, other numbers from 100 up
    are whole.
    """
    finite = np.isfinite(values)
    size = np.abs(np.where(finite, values, 0.0))
    steps = np.select([size < 1, money | (size < 10), size < 100], [1e4, 1e2, 1e1], 1.0)  # noqa: PLR2004
    return np.where(finite, np.round(np.where(finite, values, 0.0) * steps) / steps, np.nan)


def sentence(feature: Feature, value: float, typical: float, spec: FeatureSpec) -> str:
    """'last active 41 days ago (typical: 3 days)'; NaN stands for missing in both."""
    text, unit = phrase(feature.name, value, spec), feature.unit
    if _beside_typical(feature, value, typical):
        usual = SHOWN[unit](typical)
        text += f" (typical: {NONE.get(usual, usual)})"
    return _one_line(text)


def reads_typical(feature: Feature, value: float, typical: float) -> bool:
    """Whether both are said in the same words, so that the value tells nothing of a user."""
    if not _beside_typical(feature, value, typical):
        return False
    return SHOWN[feature.unit](value) == SHOWN[feature.unit](typical)


def _beside_typical(feature: Feature, value: float, typical: float) -> bool:
    return feature.unit != "flag" and not math.isnan(value) and not math.isnan(typical)


def _one_line(text: str) -> str:
    """Without a start that a spreadsheet would take for a formula."""
    text = " ".join(text.split())
    return re.sub(r"^-", "minus ", text.lstrip("=+@ "))
