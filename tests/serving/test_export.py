"""An export: every id exact, one total order, a manifest that fits, whole or absent."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from serving_tools import AS_OF, ODD_IDS, contents, mounted, put_scores, run_until, settings_in

from runtime.errors import OutputError, StoreError, UsageError
from runtime.settings import Settings
from serving.export import ExportResult, export, manifest_path, verify
from serving.formats import COLUMNS

TABLES = st.lists(
    st.tuples(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=6),
        st.floats(0, 1),
        st.one_of(st.none(), st.floats(0, 1e6)),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row[0],
)


def rows_of(result: ExportResult) -> list[dict[str, str]]:
    """The file as another program reads it."""
    with result.files[0].open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


@pytest.fixture
def shop(tmp_path: Path) -> Settings:
    settings = settings_in(tmp_path)
    n = len(ODD_IDS)
    put_scores(settings, ODD_IDS, [i / n for i in range(n)], [50 - i for i in range(n)])
    return settings


def test_every_id_comes_through_exactly(shop: Settings) -> None:
    result = export(shop)
    assert sorted(row["user_id"] for row in rows_of(result)) == sorted(ODD_IDS)
    assert result.rows == len(ODD_IDS)


@limits(deadline=None, max_examples=40)
@given(table=TABLES)
def test_any_scores_come_through_in_rank_order(table: list[tuple[str, float, float]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_in(Path(folder))
        ids, churn, value = zip(*table, strict=True)
        put_scores(settings, ids, churn, value)
        rows = rows_of(export(settings))
    assert {row["user_id"] for row in rows} == set(ids)
    assert [int(row["rank"]) for row in rows] == list(range(1, len(ids) + 1))
    by_id = {row["user_id"]: row for row in rows}
    for user, p, v in table:
        assert float(by_id[user]["churn_probability"]) == pytest.approx(p, abs=1e-6)
        shown = by_id[user]["expected_value"]
        assert shown == "" if v is None else float(shown) == pytest.approx(v, abs=1e-6)
    keys = [_order(row) for row in rows]
    assert keys == sorted(keys)


def _order(row: dict[str, str]) -> tuple[bool, float, float, bytes]:
    loss = row["expected_loss"]
    lost, churn = float(loss or 0), float(row["churn_probability"])
    return (loss == "", -lost, -churn, row["user_id"].encode())


def test_pinned_file(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    put_scores(settings, ["007", 'a"b', "c"], [0.5, 0.9, 0.01], [10.0, 10.0, 3.0])
    reasons = '"last active 41 days ago (typical: 3 days)","saw ""sale"", did not buy",\n'
    assert export(settings).files[0].read_text() == (
        ",".join(f'"{name}"' for name in COLUMNS)
        + '\n"a""b","2024-03-01",1,"high",0.900000,0.450000,0.950000,'
        + "10.000000,5.000000,2.500000,30.000000,9.000000,"
        + reasons
        + '"007","2024-03-01",2,"medium",0.500000,0.250000,0.750000,'
        + "10.000000,5.000000,2.500000,30.000000,5.000000,"
        + reasons
        + '"c","2024-03-01",3,"low",0.010000,0.005000,0.505000,'
        + "3.000000,1.500000,0.750000,9.000000,0.030000,"
        + reasons
    )


def test_without_amounts_the_rank_is_by_churn(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    put_scores(settings, ["a", "b", "c"], [0.1, 0.3, 0.2], [None, None, None])
    result = export(settings)
    assert [row["user_id"] for row in rows_of(result)] == ["b", "c", "a"]
    for name in ("expected_value", "median_value", "value_low", "value_high", "expected_loss"):
        assert {row[name] for row in rows_of(result)} == {""}
    assert json.loads(result.manifest.read_text())["rank_by"] == "churn_probability"


def test_scores_of_an_older_version_are_refused(shop: Settings) -> None:
    table = shop.store / "scores"
    for log in table.glob("_delta_log/*.json"):
        log.write_text(log.read_text().replace('schema_version\\": 2', 'schema_version\\": 1'))
    with pytest.raises(StoreError, match=r"version 1, .* reads version 2; delete that folder and"):
        export(shop)


@pytest.mark.parametrize("churn", [0.0, 0.3, 1.0])
def test_equal_probabilities_are_all_in_the_middle(tmp_path: Path, churn: float) -> None:
    settings = settings_in(tmp_path)
    put_scores(settings, ["a", "b"], [churn, churn], [1.0, 2.0])
    assert {row["risk_band"] for row in rows_of(export(settings))} == {"medium"}


@pytest.mark.parametrize("base", [0.05, 0.85])
def test_all_bands_occur_whatever_the_base_rate(tmp_path: Path, base: float) -> None:
    settings = settings_in(tmp_path)
    spread = [base * 0.3, base + (1 - base) * 0.8, *[base] * 20]
    ids = [f"u{i}" for i in range(len(spread))]
    put_scores(settings, ids, spread, [1.0] * len(ids))
    assert {row["risk_band"] for row in rows_of(export(settings))} == {"low", "medium", "high"}


def test_manifest_says_what_is_in_the_file(shop: Settings) -> None:
    result = export(shop)
    said = json.loads(result.manifest.read_text())
    data = result.files[0].read_bytes()
    assert said["sha256"] == hashlib.sha256(data).hexdigest()
    assert (said["rows"], said["bytes"]) == (len(ODD_IDS), len(data))
    assert said["columns"] == list(rows_of(result)[0]) == list(COLUMNS)
    assert said["as_of"] == "2024-03-01"
    assert said["model"] == {"kind": "xgboost", "version": 1, "run_id": "run"}
    assert said["scores"] == {"table_version": 0, "snapshot_digest": "digest"}
    assert said["formula_like_user_ids"] == 4


@pytest.mark.parametrize("change", ["byte", "row", "header", "gone", "no manifest"])
def test_verify_notices_a_change(shop: Settings, change: str) -> None:
    result = export(shop)
    file = result.files[0]
    text = file.read_bytes().decode()
    if change == "byte":
        file.write_text(text.replace("41 days", "42 days", 1), newline="")
    elif change == "row":
        file.write_text(text[: text.rstrip("\n").rindex("\n") + 1], newline="")
    elif change == "header":
        file.write_text(text.replace("user_id", "id", 1), newline="")
    elif change == "gone":
        file.unlink()
    else:
        result.manifest.unlink()
    with pytest.raises(OutputError, match="export again"):
        verify(result.manifest)


def test_ids_that_look_like_formulas_are_told_not_changed(
    shop: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    result = export(shop)
    assert "=1+1" in {row["user_id"] for row in rows_of(result)}
    captured = capsys.readouterr()
    assert "4 user ids begin like a spreadsheet formula" in captured.err
    assert captured.out == ""


def test_again_gives_the_same_bytes_and_nothing_else(shop: Settings) -> None:
    export(shop)
    first = contents(shop.exports)
    export(shop)
    assert contents(shop.exports) == first
    assert set(first) == {"shop-2024-03-01.csv", "shop-2024-03-01.csv.manifest.json"}


def test_bytes_do_not_depend_on_the_number_of_buckets(tmp_path: Path) -> None:
    seen = set()
    for buckets in (1, 3, 7):
        settings = settings_in(tmp_path / str(buckets))
        churn = [random.Random(i).random() for i in range(50)]
        put_scores(settings, [f"u{i}" for i in range(50)], churn, [1.0] * 50, buckets=buckets)
        seen.add(export(settings).files[0].read_bytes())
    assert len(seen) == 1


def test_as_of_is_the_newest_or_the_one_named(shop: Settings, tmp_path: Path) -> None:
    later = AS_OF + timedelta(hours=3, microseconds=1)
    put_scores(shop, ["x"], [0.5], [1.0], as_of=later)
    newest = export(shop)
    assert newest.files[0].name == "shop-2024-03-01T030000.000001Z.csv"
    assert [row["as_of"] for row in rows_of(newest)] == ["2024-03-01T03:00:00.000001Z"]
    named = export(shop, out=tmp_path / "other", as_of=AS_OF)
    assert named.files == (tmp_path / "other" / "shop-2024-03-01.csv",)
    assert named.rows == len(ODD_IDS)
    with pytest.raises(StoreError, match=r"no scores as of 2023-01-01.*2024-03-01T03:00"):
        export(shop, as_of=datetime(2023, 1, 1, tzinfo=UTC))


def test_without_scores_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no scores table"):
        export(settings_in(tmp_path))


def test_an_unknown_format_lists_the_known_ones(shop: Settings) -> None:
    with pytest.raises(UsageError, match="unknown format 'xlsx'; known formats: csv"):
        export(shop, format="xlsx")
    assert not shop.exports.exists()


def test_an_output_that_is_not_a_folder(shop: Settings, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (file, file / "below"):
        with pytest.raises(OutputError, match="is not a folder"):
            export(shop, out=out)
    assert file.read_text() == "mine"
    (tmp_path / "out" / "shop-2024-03-01.csv").mkdir(parents=True)
    with pytest.raises(OutputError, match="is a folder where the file should go"):
        export(shop, out=tmp_path / "out")


def test_a_read_only_folder(shop: Settings, tmp_path: Path) -> None:
    out = tmp_path / "ro"
    export(shop, out=out)
    before = contents(out)
    put_scores(shop, ["x"], [0.5], [1.0])
    with mounted(out):
        for folder in (out, out / "below"):
            with pytest.raises(OutputError, match="read-only or not permitted"):
                export(shop, out=folder)
        assert contents(out) == before


def test_a_full_disk_keeps_what_was_there(shop: Settings, tmp_path: Path) -> None:
    with mounted(tmp_path / "small", size="64k") as out:
        export(shop, out=out)
        before = contents(out)
        n = 5000
        put_scores(shop, [f"user {i}" for i in range(n)], [0.5] * n, [1.0] * n)
        with pytest.raises(OutputError, match="full"):
            export(shop, out=out)
        assert contents(out) == before


def test_only_drafts_of_dead_processes_are_removed(shop: Settings) -> None:
    file = export(shop).files[0]
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    dead = file.with_name(f".{file.name}.{child.pid}.draft")
    alive = file.with_name(f".{file.name}.{os.getppid()}.draft")
    dead.write_text("half")
    alive.write_text("half")
    export(shop)
    assert alive.exists()
    assert not dead.exists()


CHILD = """
import sys
from pathlib import Path
from serving_tools import settings_in
from serving.export import export
print("begins", flush=True)
export(settings_in(Path(sys.argv[1])), out=Path(sys.argv[2]))
"""


def _killed_and_run_again(tmp_path: Path, kills: int) -> None:
    settings = settings_in(tmp_path)
    n = 60_000
    rng = random.Random(0)
    ids = [f"{rng.getrandbits(64):020d}" for _ in range(n)]
    put_scores(settings, ids, [rng.random() for _ in ids], [rng.random() for _ in ids])
    code = f"import sys; sys.path.insert(0, 'tests'){CHILD}"
    whole = tmp_path / "whole"
    seconds = run_until(code, [str(tmp_path), str(whole)], None)
    expected = contents(whole)
    for _ in range(kills):
        out = tmp_path / "killed"
        run_until(code, [str(tmp_path), str(out)], rng.uniform(0, seconds))
        for name in ("shop-2024-03-01.csv", "shop-2024-03-01.csv.manifest.json"):
            if (out / name).exists():
                assert contents(out)[name] == expected[name]
        export(settings, out=out)
        assert contents(out) == expected
        for path in out.iterdir():
            path.unlink()


def test_killed_at_any_moment_and_run_again(tmp_path: Path) -> None:
    _killed_and_run_again(tmp_path, kills=3)


@pytest.mark.slow
def test_killed_at_twenty_moments_and_run_again(tmp_path: Path) -> None:
    _killed_and_run_again(tmp_path, kills=20)


def test_a_manifest_lies_beside_its_file() -> None:
    assert manifest_path(Path("a/b.csv")) == Path("a/b.csv.manifest.json")
