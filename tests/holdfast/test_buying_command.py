"""`holdfast buying`: one JSON object, tables for people, a file with ids and no ids elsewhere."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import calling
import polars as pl
import pytest
from buyers import buyers
from small_project import write_small_project

from events.ingest import ingest
from runtime.settings import load_settings


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = write_small_project(tmp_path_factory.mktemp("buying"), buyers(900), buckets=2)
    ingest(load_settings(config))
    return config


called = partial(calling.called, "buying --as-of 2024-09-01")
as_json = partial(calling.as_json, "buying --as-of 2024-09-01")


def test_json_tells_sums_laws_and_how_sure(
    project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "all.csv"
    found = as_json(capsys, project, "--kind", "mbg/nbd", "--out", str(out))
    assert (found["model"], found["horizon_days"], found["groups"]) == ("mbg/nbd", 21, [])
    assert found["customers"] == len(pl.read_csv(out)) == 600
    assert found["customers"] > found["alive"] > found["buyers"] > 0
    laws = {(law["of"], law["parameter"]): law for law in found["laws"]}
    for name in ("r", "alpha", "a", "b"):
        law = laws["purchases", name]
        assert law["low"] < law["value"] < law["high"]
    assert {of for of, _ in laws} == {"purchases", "amounts"}
    likelier = as_json(capsys, project)
    fits = [
        next(x for x in f["laws"] if x["parameter"] == "log-likelihood") for f in (found, likelier)
    ]
    assert fits[1]["value"] >= fits[0]["value"]


def test_tables_name_no_customer(
    project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "all.parquet"
    code, shown, said = called(capsys, project, "--by", "channel", "--out", str(out))
    assert code == 0, said
    for title in ("The next 21 days", "Laws, with 95 %", "by the first purchase", "as factors"):
        assert title in shown
    assert "note: the covariates add" in said
    ids = pl.read_parquet(out)["user_id"]
    assert len(ids) == 600
    assert not any(one in shown + said for one in ids)


def test_a_wrong_call_is_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, said = called(capsys, project, "--by", "source")
    assert code == 2
    assert said.splitlines()[-1].startswith("UsageError: --by source: no two values have 100")
