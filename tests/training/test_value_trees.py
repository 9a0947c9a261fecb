"""XGBoost's expected value: two kinds of trees, weighed by users whom they have not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from training_frames import FEATURES, cutoffs, snapshot_frame

from runtime.device import Device
from training import two_part, value_trees
from training.fitting import relative_value
from training.metrics import Floats
from training.rows import Rows, labelled
from training.trees import XGBoostSpec
from training.two_part import TriedOut, TwoPart, TwoPartSpec

CPU = Device("cpu", "a test")
ROWS = labelled(snapshot_frame(cutoffs(3), users=300), FEATURES, "fit", 0)
LATER = labelled(snapshot_frame(cutoffs(3), users=300, seed=9), FEATURES, "test", 0)
QUICK = XGBoostSpec(depths=(2,), part_depths=(2,), most_rounds=60, bags=2)


def relative(rows: Rows) -> Floats:
    found = relative_value(rows)
    assert found is not None
    return found


VALUE = relative(ROWS)


def test_what_is_expected_lies_between_its_two_parts_and_weighs_them() -> None:
    model, _ = value_trees.fit_value(QUICK, ROWS, VALUE, CPU)
    tweedie, two = (np.exp(part.margin(LATER.x)) for part in model.parts)
    assert model.kinds == ("tweedie", "two-part")
    assert sum(model.weights) == pytest.approx(1)
    expected = model.weights[0] * tweedie + model.weights[1] * two
    assert np.exp(model.margin(LATER.x)) == pytest.approx(expected, rel=1e-9)


def test_a_settled_spec_gives_the_same_model_without_a_search() -> None:
    model, settled = value_trees.fit_value(QUICK, ROWS, VALUE, CPU)
    assert settled.value is not None
    assert settled.parts is not None
    again, same = value_trees.fit_value(
        replace(settled, depths=(7,), part_depths=(7,)), ROWS, VALUE, CPU
    )
    assert same.parts == settled.parts
    assert np.array_equal(again.margin(LATER.x), model.margin(LATER.x))


@pytest.mark.parametrize("spoilt", ["tweedie", "two-part"])
def test_the_weights_are_learned_from_users_left_out(
    spoilt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the two that is right on those it was fitted on, and wrong about all others."""
    random = np.random.default_rng(0)
    honest = two_part.fit_tried_out

    def wrong(
        spec: TwoPartSpec, rows: Rows, value: Floats, device: Device
    ) -> tuple[TwoPart, TwoPartSpec, TriedOut]:
        model, settled, out = honest(spec, rows, value, device)
        return model, settled, replace(out, expected=random.permutation(out.expected))

    fair, _ = value_trees.fit_value(QUICK, ROWS, VALUE, CPU)
    if spoilt == "two-part":
        monkeypatch.setattr(value_trees, "fit_tried_out", wrong)
    else:
        fit = value_trees.trees.fit_value

        def wrong_of_some(spec, rows, value, device):  # type: ignore[no-untyped-def]
            few = len(rows) < len(ROWS)
            return fit(spec, rows, random.permutation(value) if few else value, device)

        monkeypatch.setattr(value_trees.trees, "fit_value", wrong_of_some)
    model, _ = value_trees.fit_value(QUICK, ROWS, VALUE, CPU)
    place = model.kinds.index(spoilt)
    assert model.weights[place] < fair.weights[place] - 0.1
    assert model.weights[place] < 0.3
