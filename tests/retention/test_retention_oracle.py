"""Retention tables equal those of plain SQL: modes, clocks, anchors, groups and measures."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.retention_cases import COLUMNS
from oracles.retention_duckdb import Asked, found_by_sql
from oracles.retention_world import at, settings_in

from events.contract import EVENTS, TIME
from events.store import events_path, open_store
from events.users import VALID_FROM, users_path
from features.time import Cutoff
from retention.asking import MONEY, Did
from retention.curve import RetentionTable, retention
from runtime.device import Device
from runtime.settings import Settings
from runtime.tables import TableKind, append, rewrite

CPU = Device("cpu", "a test")
ZONES = ("UTC", "Asia/Shanghai", "America/Los_Angeles", "Europe/Berlin", "America/Havana")
START = at("2024-03-05")
USERS = "abcd"
ACTIVE, VALUED = ("buy", "refund", "view"), ("buy", "refund")
LOG = {"user_id": pl.String, "ts": TIME, "event": pl.String, "amount": pl.Float64}
LOG |= {"channel": pl.String, "properties": pl.String}


@st.composite
def logs(draw: st.DrawFn) -> pl.DataFrame:
    """Few users on few instants around changes of the clocks, with many ties."""
    grain = draw(st.sampled_from([60, 6 * 60, 24 * 60]))
    row = st.tuples(
        st.sampled_from(USERS),
        st.integers(0, 40 * 24 * 60 // grain).map(lambda n: START + timedelta(minutes=n * grain)),
        st.sampled_from(["view", "buy", "refund", "mail"]),
        st.sampled_from([None, 0.0, 1.0, -2.5, 10.1, 1234.56]),
        st.sampled_from([None, "web", "app", "store"]),
        st.sampled_from([None, *(json.dumps({"plan": p}) for p in ("x", "y"))]),
    )
    rows = draw(st.lists(row, min_size=1, max_size=30))
    return pl.DataFrame(rows, schema=LOG, orient="row")


@st.composite
def people(draw: st.DrawFn) -> pl.DataFrame:
    """Attributes that change, some before any event and some from always."""
    days = st.one_of(st.none(), st.integers(-2, 30).map(lambda n: START + timedelta(days=n)))
    row = st.tuples(st.sampled_from(USERS), days, st.sampled_from([None, "gold", "free"]))
    rows = draw(st.lists(row, max_size=8, unique_by=lambda r: (r[0], r[1])))
    schema = {"user_id": pl.String, VALID_FROM: TIME, "tier": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Any]:
    measure = draw(st.sampled_from(["users", "payers", *MONEY]))
    modes = ["nday", "bracket"] if measure in MONEY else ["nday", "bracket", "rolling"]
    mode = draw(st.sampled_from(modes))
    day = START + timedelta(days=draw(st.integers(1, 20)))
    anchor = draw(st.sampled_from(["first", "first_in_range", "every", "cutoff"]))
    grouping = draw(st.sampled_from([None, "channel", "plan", "tier", "did"]))
    how: dict[str, Any] = {
        "mode": mode,
        "measure": measure,
        "period": draw(st.sampled_from(["day", "week", "month"])),
        "cohort": draw(st.sampled_from([None, "day", "week", "month"])),
        "clock": draw(st.sampled_from(["calendar", "elapsed"])),
        "periods": draw(st.integers(0, 8)),
    }
    if mode == "bracket" and draw(st.booleans()):
        how["brackets"] = draw(st.sampled_from([[(0, 0), (1, 3)], [(2, 2), (4, 9)], [(0, 6)]]))
    if anchor == "cutoff":
        how["anchor"] = Cutoff(day)
        grouping = None if grouping in ("channel", "plan") else grouping
    else:
        how["anchor"] = anchor
        ranged = anchor == "first_in_range" or draw(st.booleans())
        how["since"] = day if ranged else None
        how["until"] = draw(st.sampled_from([None, day + timedelta(days=9)]))
        how["start"] = draw(st.sampled_from([None, ["buy"], ["buy", "mail"]]))
    if grouping == "did":
        how["did"] = Did("view", draw(st.integers(1, 3)), draw(st.integers(1, 9)))
    elif grouping is not None:
        how["by"] = grouping
    return how


def world(
    folder: Path, zone: str, log: pl.DataFrame, users: pl.DataFrame, in_order: bool = True
) -> Settings:
    """A store of two buckets, each in one file and so in order, or in two. Every bucket has all
    users, of whom it reads its own."""
    source = {"name": "log", "path": "x.csv", "columns": COLUMNS}
    named = {"path": "u.csv", "columns": {"user_id": "u"}, "valid_from": "v"}
    chosen = settings_in(
        folder,
        zone,
        source=[source],
        users=named | {"attributes": ["tier"]},
        activity={"exclude": ["mail"]},
        value={"events": list(VALUED)},
    )
    bucket = (pl.col("user_id").is_in(["a", "c"])).cast(pl.Int32)
    half = log.height if in_order else log.height // 2
    for part in (log.head(half), log.tail(log.height - half)):
        if part.height:
            blank = [pl.lit(None, t).alias(n) for n, t in EVENTS.schema.items() if n not in LOG]
            rows = part.with_columns(blank).with_columns(bucket=bucket, source=pl.lit("log"))
            append(events_path(chosen), EVENTS, [rows.select(EVENTS.schema.keys())])
    held = [users.with_columns(bucket=pl.lit(n, pl.Int32)) for n in (0, 1)]
    kind = TableKind("users", 1, dict(held[0].schema), ("bucket",))
    rewrite(users_path(chosen), kind, held, {})
    return chosen


def known_events() -> pl.DataFrame:
    """A late user with every name and property that is asked for, so that the log has them."""
    last, plan = START + timedelta(days=41), json.dumps({"plan": "x"})
    rows = [("z", last, name, None, None, plan) for name in ("view", "buy", "mail")]
    return pl.DataFrame(rows, schema=LOG, orient="row")


def asked_of(how: dict[str, Any], table: RetentionTable, zone: str) -> Asked:
    anchor = how["anchor"]
    return Asked(
        zone=zone,
        mode=how["mode"],
        period=how["period"],
        cohort=how["cohort"] or how["period"],
        clock=how["clock"],
        cells=table.asked.cells,
        anchor=anchor.at if isinstance(anchor, Cutoff) else anchor,
        since=how.get("since"),
        until=how.get("until"),
        start=None if how.get("start") is None else tuple(how["start"]),
        active=ACTIVE,
        valued=VALUED,
        by=how.get("by"),
        did=how.get("did"),
        measure=how["measure"],
        covered_until=table.covered_until,
    )


CASES = {
    "log": logs(),
    "users": people(),
    "how": questions(),
    "zone": st.sampled_from(ZONES),
    "in_order": st.booleans(),
}


@given(**CASES)
@settings(max_examples=25, deadline=None)
def test_tables_equal_those_of_sql(log, users, how, zone, in_order) -> None:
    check(log, users, how, zone, in_order)


@pytest.mark.slow
@given(**CASES)
@settings(max_examples=400, deadline=None)
def test_many_tables_equal_those_of_sql(log, users, how, zone, in_order) -> None:
    check(log, users, how, zone, in_order)


def check(log, users, how, zone, in_order) -> None:
    padding = pl.DataFrame(
        [
            ("z", START + timedelta(days=41), name, None, None, None)
            for name in ("view", "buy", "mail")
        ],
        schema=LOG,
        orient="row",
    ).with_columns(properties=pl.lit(json.dumps({"plan": "x"})))
    log = pl.concat([log, padding])
    early = log["ts"].min()
    if isinstance(how["anchor"], Cutoff) and early >= how["anchor"].at:
        how = how | {"anchor": Cutoff(early + timedelta(days=1))}
    if how.get("by") == "plan":
        how = how | {"until": None}  # z has one, so that the property is known
    with TemporaryDirectory() as folder:
        chosen = world(Path(folder), zone, log, users, in_order)
        table = retention(chosen, open_store(chosen), CPU, **how)
    expected = found_by_sql(log, users, asked_of(how, table, zone))
    assert table.undecided == expected.undecided
    check_cells(table, expected.cells)
    check_sums(table)


def check_cells(table: RetentionTable, expected: dict) -> None:
    names = {cell.name: place for place, cell in enumerate(table.asked.cells)}
    rows = {(r["cohort"], r["group"], names[r["cell"]]): r for r in table.cells.to_dicts()}
    assert set(rows) == set(expected)
    several = table.anchor == "every" or table.measure == "revenue"
    for key, row in rows.items():
        sql = expected[key]
        assert (row["users"], row["complete"]) == (sql["users"], sql["complete"]), key
        if table.measure not in MONEY:
            assert row["retained"] == sql["retained"], key
            continue
        for name, room in (("value", 1e-9), ("mean", 1e-9), ("low", 1e-7), ("high", 1e-7)):
            unknown = not sql["complete"] or (several and name in ("low", "high"))
            told = (
                None
                if unknown or sql[name] is None
                else pytest.approx(sql[name], rel=1e-9, abs=room)
            )
            assert row[name] == told, (key, name)


def check_sums(table: RetentionTable) -> None:
    """`overall` and `groups` are the sums of the complete cells."""
    done = table.cells.filter("complete")
    for rows, by in ((table.overall, []), (table.groups, ["kind", "group"])):
        sums = done.group_by(*by, "cell").agg(pl.col("users", "retained", "value").sum())
        lines = {tuple(r[n] for n in (*by, "cell")): r for r in sums.to_dicts()}
        for row in rows.to_dicts():
            line = lines.get(tuple(row[n] for n in (*by, "cell")), {"users": 0})
            assert row["users"] == line["users"]
            if row["users"] and table.measure in MONEY:
                assert row["value"] == pytest.approx(line["value"], rel=1e-9, abs=1e-9)
            elif row["users"]:
                assert row["retained"] == line["retained"]
