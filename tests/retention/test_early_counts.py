"""What early markers are counted from: cases worked by hand, SQL, and what must not matter."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.early_duckdb import everyone, tables
from oracles.retention_world import at, settings_in, write_store
from oracles.worked_cases import Case, cases_in, instant

from events.contract import EVENTS
from events.store import open_store
from retention.early import EarlyCounts, early_counts
from retention.early_plan import EVERYONE, KINDS, Candidate, done_by_plan
from retention.early_search import Judged, judge, search
from retention.twofold import TwoShares
from runtime.device import Device
from runtime.errors import LabelError

CPU = Device("cpu", "a test")
CASES = cases_in(Path(__file__).parent / "cases" / "early.toml")
BASE = {"first_days": [1, 3], "counts": [1, 2, 3], "stay_days": 10, "least_users": 1}


def counted(
    log: pl.DataFrame,
    zone: str = "UTC",
    sections: Mapping[str, Any] | None = None,
    buckets: int = 2,
    **ask: str,
) -> EarlyCounts:
    early = BASE | dict((sections or {}).get("early", {}))
    chosen = {"churn": {"horizon_days": 5}} | dict(sections or {}) | {"early": early}
    span = {name: instant(text, zone) for name, text in ask.items()}
    as_of = span.pop("as_of", None)
    with TemporaryDirectory() as folder:
        project = settings_in(Path(folder), zone, **chosen)
        write_store(project, log, buckets)
        return early_counts(project, open_store(project, as_of), CPU, **span)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_worked_by_hand(case: Case) -> None:
    expect = dict(case.expect)
    if words := expect.pop("error", None):
        with pytest.raises(LabelError, match=words):
            counted(case.log, case.zone, case.settings, **case.ask)
        return
    found = counted(case.log, case.zone, case.settings, **case.ask)
    for name in ("search", "validation"):
        if wanted := expect.pop(name, None):
            cohorts = getattr(found.halves, name)
            assert [str(cohorts.since), str(cohorts.until), cohorts.users] == wanted
    if "unfinished" in expect:
        assert found.halves.unfinished == expect.pop("unfinished")
    for line in expect.pop("tables", ()):
        half, candidate, told = _read(line)
        assert _shown(found.half(half).table(candidate)) == told, line
    for line in expect.pop("strata", ()):
        half, candidate, told = _read(line)
        strata = found.half(half).strata(candidate).items()
        assert "; ".join(f"{busy}: {_shown(two)}" for busy, two in strata) == told, line
    if "carried" in expect:
        chosen = search(found.half(0), 1).chosen
        share = case.settings["early"]["share"]
        told = [_judged(one) for one in judge(found.half(1), chosen, share)]
        assert told == expect.pop("carried")
    assert not expect


def _judged(one: Judged) -> str:
    c = one.chosen.candidate
    told = f"{c.outcome} {c.kind} {c.name or '-'} {c.at_least} {c.days}: p {one.p:.3f}, "
    told += f"q {one.q:.3f}, {'kept' if one.kept else 'not kept'}"
    return told + "".join(f", also {name}" for _, name in one.chosen.also)


def _read(line: str) -> tuple[int, Candidate, str]:
    words, told = line.rsplit(" = ", 1)
    half, outcome, kind, name, at_least, days = words.split()
    name = "" if name == "-" else name
    later = ("search", "validation").index(half)
    return later, Candidate(outcome, kind, name, int(at_least), int(days)), told


def _shown(two: TwoShares) -> str:
    return f"{two.hits}/{two.users}, {two.other_hits}/{two.others}"


def test_every_case_says_why() -> None:
    assert len(CASES) >= 30
    assert sum(case.fault is not None for case in CASES) >= 8


@st.composite
def logs(draw: st.DrawFn) -> pl.DataFrame:
    """Few users on few instants, so that ties and edges abound."""
    grain = draw(st.sampled_from([1, 30, 12 * 60, 24 * 60]))
    minutes = st.integers(0, 12 * 24 * 60 // grain).map(lambda n: n * grain)
    event = st.sampled_from(["view", "buy", "mail"])
    channel = st.sampled_from([None, "app", "web"])
    amount = st.sampled_from([None, None, 0.0, 2.0, -1.0])
    row = st.tuples(st.sampled_from("abcdefg"), minutes, event, channel, amount)
    rows = draw(st.lists(row, min_size=2, max_size=60))
    start = at("2024-03-25")
    found = [(u, start + timedelta(minutes=m), e, c, a) for u, m, e, c, a in rows]
    found += [("0", start, "view", None, None), ("1", start + timedelta(days=1), "view", None, 1.0)]
    found.append(("0", start + timedelta(days=6, hours=1), "mail", None, None))
    found.append(("z", start + timedelta(days=9, minutes=1), "view", None, None))
    names = ("user_id", "ts", "event", "channel", "amount")
    return pl.DataFrame(found, schema={n: EVENTS.schema[n] for n in names}, orient="row")


SECTIONS = {
    "early": {"first_days": [1, 2], "counts": [1, 2, 3], "stay_days": 3, "pay_days": 5},
    "churn": {"horizon_days": 2},
    "activity": {"exclude": ["mail"]},
    "value": {"events": ["buy", "mail"]},
}


@given(log=logs(), zone=st.sampled_from(["UTC", "Asia/Shanghai", "Europe/Berlin"]))
@settings(max_examples=20, deadline=None)
def test_counts_equal_those_of_sql(log: pl.DataFrame, zone: str) -> None:
    found = counted(log, zone, SECTIONS)
    asked = found.asked
    rows = log.with_columns(
        active=pl.col("event") != "mail",
        pays=pl.col("event").is_in(["buy", "mail"]) & (pl.col("amount") > 0).fill_null(value=False),
    )
    assert _tables(found) == tables(rows, asked)
    users = [found.half(later).users for later in (0, 1)]
    assert tuple(users) == everyone(log, asked.last, asked.split)
    assert [found.halves.search.users, found.halves.validation.users] == users


def _tables(found: EarlyCounts) -> dict[tuple[object, ...], tuple[int, int]]:
    return {
        (later, busy, outcome, KINDS[kind], name, at_least, days): (users, hits)
        for later in (0, 1)
        for outcome, days, kind, name, at_least, busy, users, hits in found.half(later)
        .seen.select("outcome", "days", "kind", "name", "at_least", "busy", "users", "hits")
        .iter_rows()
    }


@given(log=logs())
@settings(max_examples=15, deadline=None)
def test_a_list_holds_those_that_were_counted(log: pl.DataFrame) -> None:
    """Beside what is drawn: someone whose second event and last payment lie on the edges of the
    first days."""
    start = at("2024-03-27")
    edges = [(0, "view", None), (1, "buy", 1.0), (2, "view", None), (2, "mail", None)]
    more = [("y", start + timedelta(days=n), name, None, paid) for n, name, paid in edges]
    log = pl.concat([log, pl.DataFrame(more, schema=log.schema, orient="row")])
    found = counted(log, sections=SECTIONS)
    tables = found.half(1).tables()
    for candidate in tables:
        listed = done_by_plan(log.lazy(), found.asked, candidate).collect()
        assert listed["user_id"].n_unique() == listed.height == tables[candidate].users
        assert listed["outcome"].sum() == tables[candidate].hits
        assert (listed["reached"] - listed["first"] < timedelta(days=candidate.days)).all()


@given(log=logs())
@settings(max_examples=15, deadline=None)
def test_buckets_and_row_order_change_nothing(log: pl.DataFrame) -> None:
    one = counted(log, sections=SECTIONS, buckets=1)
    many = counted(log.reverse(), sections=SECTIONS, buckets=5)
    assert one.table.equals(many.table)
    assert one.halves == many.halves


@given(log=logs())
@settings(max_examples=15, deadline=None)
def test_outcomes_change_no_behaviour(log: pl.DataFrame) -> None:
    """Take everything after the first days away from everyone but z, who carries the log: who did
    what, and who is in which half, is as before; only what came of it is gone."""
    first = pl.col("ts").min().over("user_id")
    early = log.filter((pl.col("ts") < first + timedelta(days=2)) | (pl.col("user_id") == "z"))
    span = {"as_of": "2024-04-04"}
    whole, cut = counted(log, sections=SECTIONS, **span), counted(early, sections=SECTIONS, **span)
    assert _behaviours(whole) == _behaviours(cut)
    assert not cut.table.filter((pl.col("stayed") == 1) | (pl.col("paid") > 1)).height


def _behaviours(found: EarlyCounts) -> list[tuple[object, ...]]:
    by = ["later", "busy", "kind", "name", "at_least", "within"]
    return found.table.group_by(by).agg(pl.col("users").sum()).sort(by).rows()


@given(log=logs(), days=st.integers(7, 9))
@settings(max_examples=15, deadline=None)
def test_nothing_after_the_as_of_matters(log: pl.DataFrame, days: int) -> None:
    as_of: datetime = at("2024-03-25") + timedelta(days=days)
    known = log.filter(pl.col("ts") < as_of)
    found = [counted(rows, sections=SECTIONS, as_of=as_of.isoformat()) for rows in (log, known)]
    assert found[0].table.equals(found[1].table)
    assert found[0].halves == found[1].halves


def test_everyone_is_counted_once() -> None:
    found = counted(CASES[0].log)
    everyone = found.table.filter(pl.col("kind") == EVERYONE)
    assert everyone["users"].sum() == 3


def test_a_log_that_begins_in_the_middle_of_things_is_told_of() -> None:
    """40 users in the first week and one a day for three weeks after are a crowd; so are they not
    with --since."""
    start = at("2024-05-01")
    rows = [(f"o{n}", start + timedelta(hours=n), "open") for n in range(40)]
    rows += [(f"n{n}", start + timedelta(days=7 + n), "open") for n in range(30)]
    blank = {"channel": None, "amount": None}
    log = pl.DataFrame(
        [(*row, *blank.values()) for row in rows],
        schema={n: EVENTS.schema[n] for n in ("user_id", "ts", "event", *blank)},
        orient="row",
    )
    assert counted(log).halves.crowd == 40
    assert counted(log, since="2024-05-08").halves.crowd == 0
