"""The check of the GPU runs through, and notices, with the CPU in the GPU's place."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from benchmarks import gpu_buying, gpu_check, gpu_sequences, gpu_tabular, tabular_models
from benchmarks.gpu_analysis import analyses
from benchmarks.gpu_check import check_plans, check_throughput, compared, large_log
from benchmarks.gpu_verdict import Verdict
from events.ingest import ingest
from events.store import open_store
from events.synthetic import World, write_world
from runtime.cluster import IN_PROCESS
from runtime.device import Device
from runtime.settings import load_settings
from training.sequence_spec import SequenceSpec

ADDED_OTHERWISE = 1e-12
PRETENDED = Device("cpu", "in a GPU's place")


def test_every_plan_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(users=300)
    settings = load_settings(write_world(world, tmp_path).config)
    ingest(settings)
    verdict = Verdict()
    check_plans(settings, world, PRETENDED, verdict)
    assert verdict.failed == []
    lines = capsys.readouterr().out.splitlines()
    names = [line.split("|")[1].strip() for line in lines[2:]]
    assert names == [
        "as a snapshot computes them, 3 cutoffs",
        "sequences",
        "features",
        "labels",
        *analyses(settings, open_store(settings)),
    ]
    assert len(names) > 15
    # Sums of money are added in the order in which threads come.
    off = [float(line.split("|")[-2].split()[0]) for line in lines[2:]]
    assert max(off) < ADDED_OTHERWISE


def test_throughput_is_told_beside_the_floor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = Verdict()
    check_throughput(large_log(tmp_path, 20_000), PRETENDED, verdict, IN_PROCESS, IN_PROCESS)
    assert verdict.failed == []
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[3:]] == [
        "cpu, 1 cutoffs",
        "cpu, 4 cutoffs",
        "cuda, 1 cutoffs",
        "cuda, 4 cutoffs",
    ]


def test_a_difference_is_named() -> None:
    left = pl.DataFrame({"user_id": ["a", "b"], "events": [1, 2], "amount": [1.0, 2.0]})
    assert compared(left, left.with_columns(amount=pl.col("amount") * (1 + 1e-7))) == (
        3,
        "1.0e-07 (amount)",
    )
    for wrong in (pl.col("amount") * 1.001, pl.col("events") + 1):
        with pytest.raises(AssertionError):
            compared(left, left.with_columns(wrong))
    with pytest.raises(AssertionError):
        compared(left, left.with_columns(amount=pl.Series([1.0, None])))
    with pytest.raises(AssertionError, match="2 columns: events, amount; "):
        compared(left, left.with_columns(pl.col("events", "amount") * 2))


def test_what_breaks_is_told_and_the_rest_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    verdict = Verdict()
    for name, wrong in (("first", 1), ("second", 0), ("third", 2)):
        with verdict.on(name):
            assert wrong == 0, f"off by\n{wrong}"
    assert verdict.failed == ["first", "third"]
    told = capsys.readouterr().out
    assert "| first | FAILED: AssertionError: off by 1" in told
    assert "second" not in told


def test_every_tabular_model_is_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(write_world(World(users=200), tmp_path).config)
    ingest(settings)
    parts = tabular_models.rows_of(settings)
    quick = gpu_tabular.churn_fits(parts)["logistic"]
    monkeypatch.setattr(gpu_tabular, "churn_fits", lambda _: {"logistic": quick})
    monkeypatch.setattr(gpu_tabular, "value_fits", lambda _: {"broken": lambda device: 1 / 0})
    verdict = Verdict()
    gpu_tabular.compare(parts, (PRETENDED, PRETENDED), verdict)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("| churn, logistic | 0.")
    assert verdict.failed == ["value, broken"]


def test_sequence_models_are_measured_and_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(write_world(World(users=100), tmp_path).config)
    ingest(settings)
    monkeypatch.setattr(gpu_sequences, "peak", lambda _: 1e9)
    quick = SequenceSpec(epochs=1, least_steps=10, pretrain_epochs=0, bags=1)
    given = gpu_sequences.given_by(settings)
    gpu_sequences.check_sequences(given, PRETENDED, quick, steps=(1, 3))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[3:6]] == [
        "gru",
        "recurrence",
        "transformer",
    ]
    assert lines[-1].startswith("sequence model: AUC 0.")


def test_models_of_buying_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    gpu_buying.check_buying(PRETENDED, 3_000)
    assert "parameters 0.0e+00 apart" in capsys.readouterr().out


def test_the_peak_is_measured() -> None:
    assert 1e8 < gpu_sequences.peak(PRETENDED, side=256) < 1e14


def test_without_a_device_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu_check.main([]) == 2
    assert "gpu-check: not run" in capsys.readouterr().err
    assert gpu_check.main(["modles"]) == 2
    assert "modles: choose of plans, training" in capsys.readouterr().err
