"""The files of the synthetic world: the same bytes again, and every planted fault in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from events import synthetic_files
from events.ingest import ingest
from events.synthetic import World, generate, oracle, write_world
from events.synthetic_faults import CLOCK_AHEAD, DOUBLED_IDS, EPOCH, FAR_FUTURE
from runtime.files import digest_file
from runtime.settings import load_settings

WORLD = World(users=900, seed=2)
CUTOFF = WORLD.at(500)
Fault = Callable[[str], dict[str, object]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(WORLD, folder, (CUTOFF,))
    return folder


@pytest.fixture(scope="module")
def lines(folder: Path) -> pl.DataFrame:
    """Every line of the event files, however it is laid out: id, ts (ms), event, amount, file."""
    app = pl.read_parquet(folder / "app-*.parquet").select(
        id="id", ts="at", event="action", amount=pl.lit(None, pl.Float64), file=pl.lit("app")
    )
    parts = [app]
    for path in sorted(folder.glob("web-*.ndjson")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        frame = pl.DataFrame([(r["message"], r["time"], r["name"]) for r in rows], orient="row")
        parts.append(
            frame.select(
                id="column_0",
                ts=pl.col("column_1").cast(pl.Datetime("ms")),
                event="column_2",
                amount=pl.lit(None, pl.Float64),
                file=pl.lit(path.name),
            )
        )
    services = pl.read_csv(folder / "services-*.csv")
    parts.append(
        services.select(
            id="reference",
            ts=pl.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ", time_unit="ms"),
            event="type",
            amount="amount",
            file=pl.lit("services"),
        )
    )
    return pl.concat(parts)


@pytest.fixture(scope="module")
def truth() -> pl.DataFrame:
    return generate(WORLD).with_columns(
        pl.col("ts").dt.replace_time_zone(None).cast(pl.Datetime("ms"))
    )


@pytest.fixture(scope="module")
def fault(folder: Path) -> Fault:
    listed = pl.read_csv(folder / "truth" / "faults.csv", try_parse_dates=True)
    return lambda kind: listed.row(by_predicate=pl.col("kind") == kind, named=True)


def _within(found: dict[str, object]) -> pl.Expr:
    return pl.col("ts").is_between(pl.lit(found["from"]), pl.lit(found["to"]), closed="left")


def test_the_same_world_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_world(WORLD, tmp_path, (CUTOFF,))
    names = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    for name in names:
        assert digest_file(folder / name) == digest_file(tmp_path / name), name


def test_ingest_takes_every_line_or_says_why_not(tmp_path: Path, fault: Fault) -> None:
    written = write_world(WORLD, tmp_path)
    done = ingest(load_settings(written.config))
    assert done.rows_read == written.rows
    assert done.users == WORLD.users
    assert done.rows_added + done.duplicates + done.quarantined == written.rows
    strays = fault("stray clock")["rows"]
    assert strays <= done.quarantined <= strays + 5  # type: ignore[operator]
    assert done.duplicates <= fault("duplicate")["rows"]  # type: ignore[operator]


def test_a_world_without_faults_is_written_as_it_is(tmp_path: Path) -> None:
    clean = World(users=900, seed=2, faults=False)
    written = write_world(clean, tmp_path)
    assert written.rows == generate(clean).height
    assert pl.read_csv(tmp_path / "truth" / "faults.csv").is_empty()
    assert not list(tmp_path.glob("*late*"))


def test_what_befalls_a_user_does_not_depend_on_the_others(folder: Path, tmp_path: Path) -> None:
    write_world(World(users=300, seed=2), tmp_path)
    few, many = (pl.read_parquet(f / "app-000.parquet") for f in (tmp_path, folder))
    theirs = many.filter(pl.col("user").is_in(few["user"].unique().implode()))
    assert_frame_equal(few, theirs, check_row_order=False)


def test_many_files_hold_the_same_lines_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(users=3000, seed=2, days=60)
    one, many = tmp_path / "one", tmp_path / "many"
    write_world(world, one)
    monkeypatch.setattr(synthetic_files, "BLOCKS_A_FILE", 1)
    write_world(world, many)
    assert len(list(many.glob("app-*.parquet"))) == 3
    assert_frame_equal(
        pl.read_parquet(one / "app-*.parquet").sort("id"),
        pl.read_parquet(many / "app-*.parquet").sort("id"),
    )
    assert digest_file(one / "truth/faults.csv") == digest_file(many / "truth/faults.csv")


def test_billing_is_as_it_was(lines: pl.DataFrame, truth: pl.DataFrame) -> None:
    kinds = ["payment", "payment_failed", "purchase", "refund", "cancel", "plan_change"]
    columns = ("id", "ts", "event", "amount")
    kept = lines.filter(pl.col("event").is_in(kinds)).select(columns)
    said = truth.rename({"event_id": "id"}).filter(pl.col("event").is_in(kinds)).select(columns)
    assert_frame_equal(kept.sort("id"), said.sort("id"), check_exact=False, abs_tol=1e-9)


def test_missing(lines: pl.DataFrame, truth: pl.DataFrame, fault: Fault) -> None:
    plays = truth.filter(pl.col("event") == "play", pl.col("channel") == "web")
    lost = plays.filter(~pl.col("event_id").is_in(lines["id"].implode()))
    assert lost.height == fault("missing")["rows"]
    assert 0.01 < lost.height / plays.height < 0.03


def test_a_day_without_an_event(lines: pl.DataFrame, truth: pl.DataFrame, fault: Fault) -> None:
    found = fault("no event")
    gone = truth.filter(_within(found), pl.col("event") == "search", pl.col("channel") == "app")
    assert gone.height == found["rows"] > 0  # type: ignore[operator]
    assert not gone["event_id"].is_in(lines["id"].implode()).any()


def test_a_day_with_an_event_doubled(
    lines: pl.DataFrame, truth: pl.DataFrame, fault: Fault
) -> None:
    found = fault("doubled")
    again = lines.filter(pl.col("id") >= DOUBLED_IDS).unique()
    assert again.height == found["rows"] > 0  # type: ignore[operator]
    twin = again.select(event_id=pl.col("id") - DOUBLED_IDS).join(truth, on="event_id")
    assert twin.height == again.height
    assert twin.select(_within(found) & (pl.col("event") == "view")).to_series().all()


def test_a_clock_that_is_ahead(lines: pl.DataFrame, truth: pl.DataFrame, fault: Fault) -> None:
    both = lines.unique("id").join(truth, left_on="id", right_on="event_id", suffix="_true")
    moved = both.filter(pl.col("ts") - pl.col("ts_true") == CLOCK_AHEAD)
    rows = fault("clock ahead")["rows"]
    assert rows - 3 <= moved.height <= rows  # type: ignore[operator]
    assert moved["channel"].unique().to_list() == ["app"]


def test_a_clock_that_is_lost(lines: pl.DataFrame, fault: Fault) -> None:
    stray = lines.unique("id").filter((pl.col("ts") == EPOCH) | (pl.col("ts") == FAR_FUTURE))
    assert stray.height == fault("stray clock")["rows"] > 0  # type: ignore[operator]


def test_late_arrivals_lie_in_a_later_file(lines: pl.DataFrame, fault: Fault) -> None:
    found = fault("late")
    late = lines.filter(pl.col("file").str.ends_with("-late.ndjson"))
    assert late.unique("id").height == found["rows"] > 0  # type: ignore[operator]
    assert late.select(_within(found)).to_series().all()
    on_time = lines.filter(pl.col("file") == "web-000.ndjson", _within(found))
    assert 0.2 < late.height / (late.height + on_time.height) < 0.4


def test_exact_duplicates(lines: pl.DataFrame, fault: Fault) -> None:
    twice = lines.height - lines["id"].n_unique()
    assert twice == fault("duplicate")["rows"] > 0  # type: ignore[operator]
    assert lines.unique().height == lines["id"].n_unique()


def test_a_property_changes_its_type(folder: Path, fault: Fault) -> None:
    found = fault("type of item")
    rows = [json.loads(line) for p in folder.glob("web-*") for line in p.read_text().splitlines()]
    texts = [r for r in rows if isinstance(r["item"], str)]
    numbers = [r for r in rows if isinstance(r["item"], int)]
    assert len(texts) == found["rows"] > 0  # type: ignore[operator]
    assert max(r["time"] for r in numbers) < min(r["time"] for r in texts)


def test_the_truth_is_told_and_the_config_reads_none_of_it(folder: Path) -> None:
    told = pl.read_parquet(folder / "truth" / f"oracle-{CUTOFF.date()}.parquet")
    assert_frame_equal(told, oracle(WORLD, CUTOFF))
    hidden = pl.read_parquet(folder / "truth" / "classes.parquet")
    assert hidden.height == WORLD.users
    assert {"uplift", "response"} <= set(
        pl.read_parquet(folder / "truth" / "uplift.parquet").columns
    )
    settings = load_settings(folder / "holdfast.toml")
    assert "truth" not in str([source.path for source in settings.source])
    assert settings.churn.events == ("cancel",)
    assert settings.events.deduplicate == "event_id"


def test_users_are_told_as_they_were_on_joining(folder: Path, truth: pl.DataFrame) -> None:
    users = pl.read_csv(folder / "users.csv", try_parse_dates=True)
    signups = truth.filter(pl.col("event") == "signup").select(
        "user_id", day=pl.col("ts").dt.date()
    )
    both = users.join(signups, on="user_id")
    assert both.height == WORLD.users
    assert (both["signup"] == both["day"]).all()


def test_late_means_days_after_and_not_lost(lines: pl.DataFrame, truth: pl.DataFrame) -> None:
    """All that is neither lost nor on the day without an event is there, late or not."""
    absent = truth.filter(~pl.col("event_id").is_in(lines["id"].implode()))
    assert set(absent["event"].unique()) <= {"play", "search"}
