"""The fitted sequence model: kept without pickles, refused when changed, the same anywhere."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from sequence_toys import HEADS, build, tiny_network, toys

from runtime.errors import ModelError, OutputError
from runtime.files import digest_of, write_json
from training.sequence_model import ABOUT, WEIGHTS, SequenceModel, SequencePredictions

DAYS, LEVELS = (0.0, 5.0, 7.0, 28.0, 90.0), (0.05, 0.5, 0.95)
USERS = torch.arange(40)
TESTS = Path(__file__).parents[1]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model() -> SequenceModel:
    settings = {"width": 5, "dropout": 0.2}
    network = tiny_network(3)
    network.encoder = build(settings)
    return SequenceModel(type(network)(build(settings), HEADS), settings)


def said(model: SequenceModel, size: int = 16) -> SequencePredictions:
    batches = [toys(40).of(part).events for part in USERS.split(size)]
    return model.predict(batches, DAYS, LEVELS)


def assert_same(one: SequencePredictions, two: SequencePredictions) -> None:
    for name in ("churn", "mean", "quantiles", "embedding"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name


def test_predictions_have_their_shapes_and_agree_with_one_another(model: SequenceModel) -> None:
    found = said(model)
    assert found.churn is not None
    assert found.mean is not None
    assert found.quantiles is not None
    assert found.churn.shape == (40, len(DAYS))
    assert found.mean.shape == (40,)
    assert found.quantiles.shape == (40, len(LEVELS))
    assert found.embedding.shape == (40, 5)
    assert (found.churn[:, 0] == 1).all()  # passive: at day 0 no one is back
    assert (np.diff(found.churn) <= 0).all()
    assert (np.diff(found.quantiles) >= 0).all()
    assert (found.mean > 0).all()
    assert np.isfinite(found.embedding).all()
    lengths = toys(40).end - toys(40).begin
    assert (found.embedding[lengths.numpy() == 0] == 0).all()


def test_a_user_is_scored_alone_as_among_others(model: SequenceModel) -> None:
    together, alone = said(model, 40), said(model, 1)
    for name in ("churn", "mean", "quantiles", "embedding"):
        assert getattr(alone, name) == pytest.approx(getattr(together, name), rel=1e-4, abs=1e-6)


def test_no_batch_gives_no_row(model: SequenceModel) -> None:
    found = model.predict([], DAYS, LEVELS)
    assert found.churn is not None
    assert found.quantiles is not None
    assert found.churn.shape == (0, len(DAYS))
    assert found.quantiles.shape == (0, len(LEVELS))
    assert found.embedding.shape == (0, 5)


def test_without_a_head_it_says_nothing_of_it() -> None:
    lean = SequenceModel(tiny_network(heads={"churn": HEADS["churn"]}), {})
    found = said(lean)
    assert found.churn is not None
    assert found.mean is None
    assert found.quantiles is None


def test_saving_and_loading_changes_nothing_and_never_unpickles(
    model: SequenceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a pickle was read or written")

    for name in ("load", "loads", "Unpickler", "dump", "dumps", "Pickler"):
        monkeypatch.setattr(pickle, name, refuse)
    again = SequenceModel.load(model.save(tmp_path / "m"), build)
    assert_same(said(again), said(model))
    assert again.encoder == model.encoder
    assert again.network.settings == model.network.settings
    assert {path.name for path in (tmp_path / "m").iterdir()} == {ABOUT, WEIGHTS}
    first = (tmp_path / "m" / WEIGHTS).read_bytes()
    assert (again.save(tmp_path / "again") / WEIGHTS).read_bytes() == first


def test_a_fresh_process_says_the_same(model: SequenceModel, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "m")
    code = f"""
import torch
torch.set_num_threads(1)
from pathlib import Path
from sequence_toys import build, toys
from training.sequence_model import SequenceModel
model = SequenceModel.load(Path({str(folder)!r}), build)
batches = [toys(40).of(part).events for part in torch.arange(40).split(16)]
found = model.predict(batches, {DAYS!r}, {LEVELS!r})
print([getattr(found, n).tobytes().hex() for n in ("churn", "mean", "quantiles", "embedding")])
"""
    paths = os.pathsep.join((str(TESTS), str(TESTS.parent)))
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )
    found = said(model)
    held = [getattr(found, n) for n in ("churn", "mean", "quantiles", "embedding")]
    assert done.stdout.strip() == str([array.tobytes().hex() for array in held])


def flip(path: Path, place: int) -> None:
    held = bytearray(path.read_bytes())
    held[place] ^= 1
    path.write_bytes(held)


def change(folder: Path, **what: object) -> None:
    about = json.loads((folder / ABOUT).read_text())
    write_json(folder / ABOUT, about | what)


def sign(folder: Path, **what: object) -> None:
    about = json.loads((folder / ABOUT).read_text()) | what
    about.pop("digest")
    write_json(folder / ABOUT, about | {"digest": digest_of(about, 64)})


TAMPERINGS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a byte of the weights": (lambda f: flip(f / WEIGHTS, 200), "instead of .* changed or cut"),
    "the last byte": (lambda f: flip(f / WEIGHTS, -1), "instead of .* changed or cut"),
    "cut": (
        lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-100]) and None,
        "instead of .* changed or cut",
    ),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "cannot be read"),
    "no description": (lambda f: (f / ABOUT).unlink(), "holds no readable model"),
    "half a description": (lambda f: (f / ABOUT).write_text('{"a'), "holds no readable model"),
    "a list": (lambda f: (f / ABOUT).write_text("[1]"), r"holds \[1\], this Holdfast reads"),
    "another version": (lambda f: change(f, schema_version=9), "'schema_version': 9"),
    "other settings": (lambda f: change(f, encoder={"width": 9}), "was changed after it"),
    "settings that do not fit": (lambda f: sign(f, encoder={"width": 9}), "weights do not fit"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_bundle_that_was_tampered_with_is_refused(
    model: SequenceModel, tmp_path: Path, name: str
) -> None:
    tamper, says = TAMPERINGS[name]
    folder = model.save(tmp_path / "m")
    tamper(folder)
    with pytest.raises(ModelError, match=says) as told:
        SequenceModel.load(folder, build)
    assert "\n" not in str(told.value)
    assert "train again" in str(told.value)


def test_a_full_disk_is_named(model: SequenceModel, tmp_path: Path) -> None:
    (tmp_path / f".{WEIGHTS}.{os.getpid()}.draft").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="the disk is full"):
        model.save(tmp_path)
