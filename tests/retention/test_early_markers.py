"""Markers are found where they are, held to later cohorts, and seldom where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from early_planted import ASKED, PAY, SPLIT, busy_and_calm, newcomers, orders
from oracles.retention_world import settings_in, write_store

from events.store import EventStore
from retention.early import early_markers
from retention.early_plan import Candidate, early_plan
from retention.early_search import Half, Judged, judge, search
from retention.early_users import write_users
from retention.twofold import ratio, within_strata
from runtime.cluster_kinds import LocalProcesses
from runtime.device import Device
from runtime.errors import LabelError, UsageError
from runtime.settings import Settings

CPU = Device("cpu", "a test")
SHARE = 0.05


def halves(log: pl.DataFrame) -> tuple[Half, Half]:
    counts = early_plan(log.lazy(), ASKED).collect()
    return tuple(  # type: ignore[return-value]
        Half.of(counts.filter(pl.col("later") == later), ASKED.first_days) for later in (0, 1)
    )


def found_in(log: pl.DataFrame) -> tuple[Judged, ...]:
    early, later = halves(log)
    return judge(later, search(early, 30).chosen, SHARE)


def test_where_nothing_marks_anything_seldom_is_anything_kept() -> None:
    """With no effect at all the false discovery rate is the chance that anything is kept. Of 100
    runs at 5 % 5 are to be expected, more than 12 have a chance of 1 in 1,000."""
    kept = leaked = 0
    for seed in range(100):
        early, later = halves(newcomers(600, seed))
        chosen = search(early, 30).chosen
        kept += any(one.kept for one in judge(later, chosen, SHARE))
        leaked += any(one.kept for one in judge(early, chosen, SHARE))
    assert kept <= 12
    # Judged by the users they were chosen on, they would be kept again and again.
    assert leaked >= 40


@pytest.mark.slow
def test_the_rate_of_false_markers_over_a_thousand_runs() -> None:
    kept = sum(any(one.kept for one in found_in(newcomers(600, seed))) for seed in range(1000))
    assert kept <= 0.05 * 1000 + 3 * 6.9  # three standard errors of a share of 5 %


def test_a_planted_marker_is_found_with_its_ratio() -> None:
    found = found_in(newcomers(8000, 1, pay_ratio=2.5, stay_ratio=0.5))
    pays = next(one for one in found if one.chosen.candidate.outcome == "pays")
    assert pays.chosen.candidate == Candidate("pays", "event", "e4", 3, 7)
    assert pays.kept
    interval = ratio(pays.table)
    assert interval.low <= 2.5 <= interval.high  # type: ignore[operator]
    stays = next(one for one in found if one.chosen.candidate.outcome == "stays")
    assert stays.chosen.candidate == Candidate("stays", "event", "e2", 1, 1)
    interval = ratio(stays.table)
    assert interval.low <= 0.5 <= interval.high  # type: ignore[operator]
    # e4 and e2 make users busier; what else is kept for that is weaker than what was planted.
    others = [one for one in found if one.kept and one.chosen.candidate.kind == "event"]
    assert {one.chosen.candidate.name for one in others} <= {"e2", "e4"}


@pytest.mark.slow
def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """95 % of intervals, each of validation alone, are to hold 2.5; of 200 190, and fewer than
    180 have a chance below 1 in 1,000."""
    marker = Candidate("pays", "event", "e4", 3, 7)
    covered = 0
    for seed in range(200):
        interval = ratio(halves(newcomers(2000, seed, pay_ratio=2.5))[1].table(marker))
        covered += interval.low <= 2.5 <= interval.high  # type: ignore[operator]
    assert covered >= 180


def test_what_comes_of_being_busy_alone_is_gone_among_the_equally_busy() -> None:
    """Half of the users are busy: of them 60 % do x and 60 % stay, of the others 10 % and 20 %,
    each drawn apart from the other. So x marks staying, and explains nothing of it."""
    _, later = halves(busy_and_calm(8000, 5))
    marker = Candidate("stays", "event", "x", 1, 1)
    crude = ratio(later.table(marker))
    adjusted = within_strata(list(later.strata(marker).values()))
    assert crude.low > 1.3
    assert adjusted is not None
    assert adjusted.low <= 1 <= adjusted.high  # type: ignore[operator]


def test_later_cohorts_choose_nothing() -> None:
    """Other outcomes and other behaviours of those who came later: the same is carried over."""
    log = newcomers(3000, 2, pay_ratio=2.5)
    first = pl.col("ts").min().over("user_id")
    earlier = log.filter(first < SPLIT)
    other = newcomers(3000, 99, stay_ratio=0.3).filter(first >= SPLIT)
    mixed = pl.concat([earlier, other.with_columns(user_id="x" + pl.col("user_id"))])
    assert search(halves(log)[0], 30) == search(halves(mixed)[0], 30)


def test_what_all_but_the_same_users_do_is_told_once() -> None:
    """Every e4 comes with an e4_seen a second later: one behaviour, told by the first name."""
    log = newcomers(4000, 4, pay_ratio=2.5)
    seen = log.filter(pl.col("event") == "e4").with_columns(
        ts=pl.col("ts") + pl.duration(microseconds=1), event=pl.lit("e4_seen")
    )
    chosen = search(halves(pl.concat([log, seen]))[0], 30).chosen
    pays = {c.candidate.name: c.also for c in chosen if c.candidate.outcome == "pays"}
    assert ("event", "e4_seen") in pays["e4"]
    assert "e4_seen" not in pays


def test_a_marker_that_turns_round_is_not_kept() -> None:
    """Those who came first and did it paid more often, those who came later less often."""
    more, less = newcomers(6000, 6, pay_ratio=3.0), newcomers(6000, 7, pay_ratio=0.2)
    first = pl.col("ts").min().over("user_id")
    mixed = pl.concat(
        [
            more.filter(first < SPLIT),
            less.filter(first >= SPLIT).with_columns(user_id="x" + pl.col("user_id")),
        ]
    )
    e4 = next(one for one in found_in(mixed) if one.chosen.candidate.name == "e4")
    assert e4.q < SHARE
    assert not e4.kept


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, EventStore]:
    settings = settings_in(tmp_path_factory.mktemp("early"), churn={"horizon_days": 30})
    log = newcomers(3000, 3, pay_ratio=2.5, stay_ratio=0.5)
    return settings, write_store(settings, log, buckets=3)


def test_the_list_holds_as_many_users_as_the_figure(
    project: tuple[Settings, EventStore], tmp_path: Path
) -> None:
    settings, store = project
    found = early_markers(settings, store, CPU)
    rows = found.to_json()["rows"]
    assert len(rows) >= 2
    for row in rows:
        path = tmp_path / f"{row['number']}.csv"
        assert write_users(found, row["number"], path, store, CPU) == row["with_users"]
        listed = pl.read_csv(path, try_parse_dates=True)
        assert listed.columns == ["user_id", "first", "reached", "outcome"]
        assert listed.height == listed["user_id"].n_unique() == row["with_users"]
        assert listed["outcome"].sum() == row["with_hits"]
        took = (listed["reached"] - listed["first"]).dt.total_microseconds()
        assert took.max() < row["days"] * 86_400_000_000  # type: ignore[operator]
    write_users(found, 1, tmp_path / "1.parquet", store, CPU)
    assert pl.read_parquet(tmp_path / "1.parquet").height == rows[0]["with_users"]
    with pytest.raises(
        UsageError, match=f"--marker {len(rows) + 1}: {len(rows)} markers were kept"
    ):
        write_users(found, len(rows) + 1, tmp_path / "2.csv", store, CPU)


@pytest.mark.slow
def test_processes_find_what_this_one_finds(
    project: tuple[Settings, EventStore], tmp_path: Path
) -> None:
    settings, store = project
    here = early_markers(settings, store, CPU)
    there = early_markers(settings, store, CPU, cluster=LocalProcesses(2))
    assert there.to_json() == here.to_json()
    for name, cluster in (("here", None), ("there", LocalProcesses(2))):
        how = {} if cluster is None else {"cluster": cluster}
        write_users(here, 1, tmp_path / f"{name}.csv", store, CPU, **how)
    assert (tmp_path / "here.csv").read_bytes() == (tmp_path / "there.csv").read_bytes()


def test_the_result_is_json_and_adds_up(project: tuple[Settings, EventStore]) -> None:
    found = early_markers(*project, CPU).to_json()
    assert json.loads(json.dumps(found)) == found
    assert found["kept"] == len(found["rows"])
    assert found["carried_over"] == len(found["rows"]) + len(found["not_kept"])
    assert found["searched"] > found["carried_over"]
    assert found["search"]["until"] == found["validation"]["since"]
    for number, row in enumerate(found["rows"], 1):
        assert row["number"] == number
        assert row["with_users"] + row["without_users"] == row["users"]
        assert row["users"] == found["validation"]["users"]
        assert row["q"] <= found["false_discovery_rate"]
        assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
    best = found["rows"][0]
    assert (best["outcome"], best["event"], best["at_least"], best["days"]) == ("pays", "e4", 3, 7)
    assert best["without_rate"] == pytest.approx(PAY, abs=0.04)
    assert best["sentence"].startswith(
        "Users who do 'e4' at least 3 times in their first 7 days pay 2."
    )


def test_too_few_users_are_told_so(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, churn={"horizon_days": 30})
    store = write_store(settings, newcomers(40, 3))
    with pytest.raises(LabelError, match="60 are needed at least"):
        early_markers(settings, store, CPU)


def test_where_all_do_the_same_there_is_nothing_to_find(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, churn={"horizon_days": 30})
    first = pl.col("ts").min().over("user_id")
    log = newcomers(200, 3).filter(pl.col("ts") < first + pl.duration(days=7))
    last = log.head(1).with_columns(user_id=pl.lit("z"), ts=pl.col("ts") + pl.duration(days=200))
    store = write_store(settings, pl.concat([log, last]))
    with pytest.raises(LabelError, match="all or none stay, and all or none pay"):
        early_markers(settings, store, CPU)


@pytest.mark.parametrize(
    ("early", "words"),
    [
        ({"pay_events": ["opne"]}, "'opne': no such event in the log; did you mean 'open'"),
        ({"properties": ["nothing"]}, "early.properties 'nothing': no event has it"),
    ],
)
def test_what_the_log_has_not_is_refused(
    project: tuple[Settings, EventStore], early: dict[str, list[str]], words: str
) -> None:
    settings, store = project
    asked = settings.model_copy(update={"early": settings.early.model_copy(update=early)})
    with pytest.raises(UsageError, match=words):
        early_markers(asked, store, CPU)


def repeated(
    log: pl.DataFrame, folder: Path, **sections: dict[str, object]
) -> set[tuple[str, str]]:
    """Outcome and behaviour of the markers that are the outcome itself, done before."""
    churn = {"horizon_days": 30} | sections.pop("churn", {})
    settings = settings_in(folder, churn=churn, **sections)
    rows = early_markers(settings, write_store(settings, log), CPU).to_json()["rows"]
    told = [(row["outcome"], row["repeats"]) for row in rows]
    assert told == sorted(told), "an outcome after the other, its own kind last"
    return {(r["outcome"], r["event"] or r["behaviour"]) for r in rows if r["repeats"]}


def test_what_is_the_outcome_itself_comes_last_and_is_marked(tmp_path: Path) -> None:
    """Who pays early pays later: e4 is a value event here, so it is paying itself; e2, which
    marks the leaving, is a cancellation, for which no experiment is proposed."""
    log = newcomers(6000, 8, pay_ratio=2.5, stay_ratio=0.5)
    found = repeated(log, tmp_path / "none")
    assert not {name for _, name in found} & {"e2", "e4"}
    found = repeated(
        log,
        tmp_path / "some",
        value={"events": ["e4", "buy"]},
        churn={"kind": "active", "events": ["e2"]},
    )
    assert ("pays", "e4") in found
    assert ("stays", "e2") in found


def test_where_all_events_are_one_doing_it_is_being_active(tmp_path: Path) -> None:
    """The busy stay; of a log of nothing but orders a second order says no more than that."""
    log = busy_and_calm(4000, 5).with_columns(event=pl.lit("order"))
    assert ("stays", "order") in repeated(log, tmp_path)


def test_where_being_active_is_paying_coming_repeats_it_and_is_told_once(tmp_path: Path) -> None:
    log = orders(2_000, 9)
    rows = {}
    for name, activity in (("paid", {"events": ["order"]}), ("any", {})):
        settings = settings_in(tmp_path / name, churn={"horizon_days": 30}, activity=activity)
        found = early_markers(settings, write_store(settings, log), CPU).to_json()
        rows[name] = [row for row in found["rows"] if row["outcome"] == "pays"]
    (one,) = rows["paid"]
    assert one["repeats"]
    assert {"active days", "paying"} <= set(one["also"])
    figures = [(row["with_users"], row["with_hits"], row["p"]) for row in rows["any"]]
    assert len(figures) == len(set(figures))
    coming = [r for r in rows["any"] if r["behaviour"] in ("active_days", "sessions")]
    assert not any(row["repeats"] and "paying" not in row["also"] for row in coming)
