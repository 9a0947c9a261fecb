"""The average of a few ensembles."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from training_frames import FEATURES, cutoffs, snapshot_frame

from runtime.device import Device
from training import bagged, trees
from training.blend import Blend
from training.fitting import relative_value
from training.model import _load
from training.rows import Rows, labelled
from training.trees import Size, Trees, XGBoostSpec

CPU = Device("cpu", "a test")
SPEC = XGBoostSpec(churn=Size(2, 20), value=Size(2, 20), bags=3, seed=5)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return labelled(snapshot_frame(cutoffs(1), users=600), FEATURES, "fit", 0)


def test_it_is_the_average_of_ensembles_of_other_seeds(rows: Rows, tmp_path: Path) -> None:
    model, settled = bagged.fit_churn(SPEC, rows, CPU)
    assert settled == SPEC
    assert isinstance(model, Blend)
    margins = [part.margin(rows.x) for part in model.parts]
    assert len(margins) == 3
    assert not np.allclose(margins[0], margins[1])
    assert model.margin(rows.x) == pytest.approx(np.mean(margins, axis=0))
    assert np.array_equal(margins[0], trees.fit_churn(SPEC, rows, CPU)[0].margin(rows.x))
    model.save(tmp_path / "churn.blend.json")
    found = Blend.load(tmp_path / "churn.blend.json", partial(_load, tmp_path))
    assert np.array_equal(found.margin(rows.x), model.margin(rows.x))


def test_expected_values_are_averaged(rows: Rows) -> None:
    relative = relative_value(rows)
    assert relative is not None
    model, _ = bagged.fit_value(SPEC, rows, relative, CPU)
    assert isinstance(model, Blend)
    mean = np.mean([np.exp(part.margin(rows.x)) for part in model.parts], axis=0)
    assert np.exp(model.margin(rows.x)) == pytest.approx(mean)


def test_many_rows_or_one_bag_are_one_ensemble(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    one = XGBoostSpec(churn=Size(2, 5), bags=1)
    assert isinstance(bagged.fit_churn(one, rows, CPU)[0], Trees)
    monkeypatch.setattr(bagged, "MOST_ROWS", 599)
    assert isinstance(bagged.fit_churn(SPEC, rows, CPU)[0], Trees)
