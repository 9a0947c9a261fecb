"""The curves of a run, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from training.curves import curves
from training.evaluate import Evaluation


def test_calibration_and_gain_of_twenty_rows() -> None:
    # Ten told 0.8, of whom 8 leave; ten told 0.1, of whom 1 leaves.
    probability = np.repeat([0.8, 0.1], 10)
    churn = np.concatenate([np.ones(8), np.zeros(2), np.ones(1), np.zeros(9)])
    found = curves(Evaluation({}, churn, probability, None, None, None))
    told = [(one["rows"], one["predicted"], one["observed"]) for one in found["calibration"]]
    assert told == [
        (10, pytest.approx(0.8), pytest.approx(0.8)),
        (10, pytest.approx(0.1), pytest.approx(0.1)),
    ]
    assert all(one["low"] < one["observed"] < one["high"] for one in found["calibration"])
    gain = {round(one["share"], 2): one["gain"] for one in found["gain"]}
    # The riskier half holds 8 of the 9 who leave; equal scores are met at their mean rate.
    assert gain[0.0] == 0
    assert gain[0.25] == pytest.approx(4 / 9)
    assert gain[0.5] == pytest.approx(8 / 9)
    assert gain[1.0] == 1
    assert found["recency"] is None
    assert found["rows"] == 20
