"""Paths before churn: tables worked by hand, the snapshot's base rate, and the interval."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from math import exp, log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.retention_world import at, settings_in, write_store
from oracles.worked_cases import Case, cases_in

from events.store import open_store
from features.snapshots import read, snapshot
from retention.path_churn import NOTE, PathsBeforeChurn, paths_before_churn
from retention.path_churn_users import users_before_churn
from retention.path_question import Asked
from retention.risk_ratio import p_values, q_values, risk_ratio, score
from runtime.clock import parse_instant, show
from runtime.device import Device
from runtime.errors import LabelError, UsageError

CPU = Device("cpu", "a test")
CASES = cases_in(Path(__file__).parent / "cases" / "paths_before_churn.toml")
NAMES = ("users", "churned", "users_without", "churned_without", "lift", "p", "q")


def answer(case: Case, folder: Path) -> PathsBeforeChurn:
    ask = dict(case.ask)
    chosen = settings_in(folder, case.zone, **case.settings)
    write_store(chosen, case.log)
    store = open_store(chosen, parse_instant(ask["as_of"], case.zone))
    cutoff = ask.get("cutoff")
    return paths_before_churn(
        chosen,
        store,
        CPU,
        cutoff=cutoff and parse_instant(cutoff, case.zone),
        before_days=ask.get("days"),
        least_users=ask["least_users"],
        whole=ask.get("whole", False),
        asked=Asked(per=ask.get("per"), top=ask.get("top")),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_table_worked_by_hand(case: Case, tmp_path: Path) -> None:
    found = answer(case, tmp_path)
    expect: dict[str, Any] = dict(case.expect)
    rows = {row["path"]: row for row in found.rows.to_dicts()}
    wanted = expect.pop("rows")
    assert set(rows) == set(wanted)
    for path, values in wanted.items():
        told = [rows[path][name] for name in NAMES]
        assert told == [None if v == "-" else pytest.approx(v, rel=2e-5) for v in values], path
    precedes = expect.pop("precedes", {})
    assert {p: rows[p]["precedes"] for p in rows if rows[p]["precedes"]} == precedes
    for path, said in expect.pop("words", {}).items():
        assert rows[path]["words"].startswith(said)
    if "cutoff" in expect:
        assert show(found.cutoff) == expect.pop("cutoff")
    for name in ("kept", "pooled"):
        if name in expect:
            assert list(getattr(found, name)) == expect.pop(name)
    for name in ("users", "churned", "unknown", "went", "went_churned", "compared", "left_out"):
        if name in expect:
            assert getattr(found, name) == expect.pop(name)
    assert not expect, f"{case.name}: nothing looks at {sorted(expect)}"
    assert len(rows) == found.compared


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_figure_agrees_with_its_drill_down(case: Case, tmp_path: Path) -> None:
    """Counts in a path that disagree with their own drill-down: PostHog #32772."""
    found = answer(case, tmp_path)
    ask = dict(case.ask)
    chosen = settings_in(tmp_path, case.zone, **case.settings)
    store = open_store(chosen, parse_instant(ask["as_of"], case.zone))
    for row in found.rows.to_dicts():
        file = tmp_path / "users.parquet"
        way = users_before_churn(
            chosen,
            store,
            CPU,
            row["path"],
            file=file,
            cutoff=found.cutoff,
            before_days=found.before_days,
            whole=found.whole,
            asked=Asked(per=ask.get("per"), top=ask.get("top")),
        )
        assert (way.users, way.churned) == (row["users"], row["churned"])
        listed = pl.read_parquet(file)
        assert listed["user_id"].n_unique() == listed.height == row["users"]
        assert listed["churn"].sum() == row["churned"]


CHURNS: dict[str, dict[str, Any]] = {
    "passive": {"churn": {"kind": "passive", "horizon_days": 10, "gap_days": 2}},
    "recent": {"churn": {"horizon_days": 10}, "eligible": {"within_days": 8}},
    "active": {"churn": {"kind": "active", "events": ["cancel"], "horizon_days": 10}},
    "lapse": {"churn": {"kind": "lapse", "events": ["buy"], "period_days": 12, "horizon_days": 10}},
}


def many_users(number: int = 120) -> list[tuple[str, datetime, str]]:
    """Users of all sorts over 45 days, by arithmetic alone."""
    rows = []
    names = ("view", "cart", "buy", "view", "help")
    for user in range(number):
        for day in range(45):
            if (user * 31 + day * day * 7) % 6 < (user % 4 if day > 25 else 3):
                for n in range(1 + (user + day) % 3):
                    name = names[(user * 3 + day + n) % 5]
                    rows.append(
                        (f"u{user}", at("2024-04-01T09:00") + timedelta(days=day, minutes=n), name)
                    )
        if user % 5 == 0:
            rows.append((f"u{user}", at("2024-05-08T12:00"), "cancel"))
    return rows


@pytest.mark.parametrize("kind", CHURNS)
def test_the_base_rate_is_the_snapshots(kind: str, tmp_path: Path) -> None:
    chosen = settings_in(tmp_path, **CHURNS[kind])
    write_store(chosen, many_users())
    store = open_store(chosen)
    found = paths_before_churn(chosen, store, CPU, least_users=5)
    labels = read(snapshot(chosen, [found.cutoff], None, CPU))["churn"]
    assert found.users == labels.len() - labels.null_count() > 20
    assert found.churned == labels.sum()
    assert found.unknown == labels.null_count()
    assert found.base_rate == pytest.approx(labels.mean())
    assert found.compared >= 3
    whole = found.rows["churned"] + found.rows["churned_without"]
    assert (whole == found.churned).all()


def test_the_future_changes_no_path(tmp_path: Path) -> None:
    """What happens at the cutoff or after it may change labels, never who went what."""
    rows = many_users()
    cutoff = at("2024-05-01")
    early = [row for row in rows if row[1] < cutoff]
    later = [(f"u{n}", at("2024-05-05T10:00"), "surprise") for n in range(60)] * 3
    found = []
    for name, log_rows in (("one", rows), ("two", early + later)):
        chosen = settings_in(tmp_path / name, churn={"horizon_days": 5})
        write_store(chosen, [*log_rows, ("u0", at("2024-05-20"), "view")])
        store = open_store(chosen)
        one = paths_before_churn(chosen, store, CPU, cutoff=cutoff, least_users=1)
        found.append(one)
    assert found[0].kept == found[1].kept
    left, right = (f.rows.select("path", "users", "users_without").sort("path") for f in found)
    assert left.equals(right)


def test_the_interval_is_the_published_one() -> None:
    """Koopman 1984, his example: 36 of 40 against 16 of 80, ratio 4.5, 95 % 2.94 to 7.15."""
    ratio, low, high = (v[0] for v in risk_ratio(*(np.array([x]) for x in (36.0, 40, 16, 80))))
    assert ratio == pytest.approx(4.5)
    assert low == pytest.approx(2.94, abs=0.005)
    assert high == pytest.approx(7.15, abs=0.005)


def test_in_many_users_the_interval_is_katzs() -> None:
    """exp(log ratio +- 1.96 sqrt(1/x1 - 1/n1 + 1/x0 - 1/n0)), Katz and others 1978."""
    x1, n1, x0, n0 = 40_000.0, 100_000.0, 20_000.0, 100_000.0
    _, low, high = (v[0] for v in risk_ratio(*(np.array([x]) for x in (x1, n1, x0, n0))))
    reach = 1.959964 * sqrt(1 / x1 - 1 / n1 + 1 / x0 - 1 / n0)
    assert log(low) == pytest.approx(log(2) - reach, abs=1e-4)
    assert log(high) == pytest.approx(log(2) + reach, abs=1e-4)


@given(
    n1=st.integers(1, 60),
    n0=st.integers(1, 60),
    share1=st.floats(0, 1),
    share0=st.floats(0, 1),
)
@settings(max_examples=100, deadline=None)
def test_the_bounds_are_where_the_score_says(n1, n0, share1, share0) -> None:
    x1, x0 = round(share1 * n1), round(share0 * n0)
    groups = [np.array([float(value)]) for value in (x1, n1, x0, n0)]
    ratio, low, high = (value[0] for value in risk_ratio(*groups))
    if x0 == 0:
        assert x1 or np.isnan(ratio)
        assert not x1 or (np.isinf(ratio) and np.isinf(high) and low > 0)
        return
    assert low <= ratio <= high
    for bound in (low, high):
        if 0 < bound < exp(29):
            assert score(*groups, np.array([bound]))[0] == pytest.approx(3.841459, rel=1e-3)


def test_q_values_by_hand() -> None:
    """m = 4, sorted p .01 .02 .03 .9: .04, min(.04, .04) = .04, .04, .9."""
    assert q_values(np.array([0.03, 0.9, 0.01, 0.02])).tolist() == pytest.approx(
        [0.04, 0.9, 0.04, 0.04]
    )
    # .01 .04 .041: .03, then .041 * 3 / 3 = .041 is less than .04 * 3 / 2 = .06
    assert q_values(np.array([0.01, 0.04, 0.041])).tolist() == pytest.approx([0.03, 0.041, 0.041])


def test_p_is_one_where_all_churn_or_none_do() -> None:
    for x in (0.0, 5.0):
        groups = [np.array([value]) for value in (x, 5.0, x, 5.0)]
        assert p_values(*groups).tolist() == [1.0]


@given(seed=st.integers(0, 2**16))
@settings(max_examples=20, deadline=None)
def test_q_never_falls_below_p_and_keeps_its_order(seed: int) -> None:
    p = np.random.default_rng(seed).random(30) ** 3
    q = q_values(p)
    assert (q >= p).all()
    assert (np.diff(q[np.argsort(p)]) >= 0).all()


def test_it_says_that_it_is_association(tmp_path: Path) -> None:
    chosen = settings_in(tmp_path, churn={"horizon_days": 10})
    write_store(chosen, many_users())
    told = paths_before_churn(chosen, open_store(chosen), CPU, least_users=5).to_json(shown=4)
    assert told["note"] == NOTE
    assert "experiment" in NOTE
    assert len(told["rows"]) == 4
    assert json.loads(json.dumps(told, default=str)) == told


def test_wrong_calls_end_in_one_line(tmp_path: Path) -> None:
    chosen = settings_in(tmp_path, churn={"horizon_days": 10})
    write_store(chosen, many_users())
    store = open_store(chosen)
    with pytest.raises(LabelError, match="choose a cutoff at or before"):
        paths_before_churn(chosen, store, CPU, cutoff=at("2024-05-12"))
    with pytest.raises(LabelError, match="no event lies before it"):
        paths_before_churn(chosen, store, CPU, cutoff=at("2024-03-12"))
    with pytest.raises(UsageError, match="leave out --from"):
        paths_before_churn(chosen, store, CPU, asked=Asked(start="view"))
    with pytest.raises(UsageError, match="least users 0 is out of range"):
        paths_before_churn(chosen, store, CPU, least_users=0)
    with pytest.raises(UsageError, match="nobody went it before"):
        users_before_churn(chosen, store, CPU, "help > help > help")
    with pytest.raises(UsageError, match="write events alone"):
        users_before_churn(chosen, store, CPU, "help > (cut)")
    with pytest.raises(UsageError, match="write events, then how the session ends"):
        users_before_churn(chosen, store, CPU, "help", whole=True)
    with pytest.raises(UsageError, match="has 4 events, paths here at most 3"):
        users_before_churn(chosen, store, CPU, "help > view > help > view")
    with pytest.raises(UsageError, match="days 0 before the cutoff"):
        paths_before_churn(chosen, store, CPU, before_days=0)


def test_a_project_excludes_what_comes_only_later(tmp_path: Path) -> None:
    """An event left out of paths that is not in the log before the cutoff is no mistake."""
    chosen = settings_in(tmp_path, churn={"horizon_days": 10}, paths={"exclude": ["late"]})
    write_store(chosen, [*many_users(), ("u1", at("2024-05-14T10:00"), "late")])
    found = paths_before_churn(chosen, open_store(chosen), CPU, cutoff=at("2024-05-01"))
    assert found.users > 0
    assert isinstance(found.rows, pl.DataFrame)
