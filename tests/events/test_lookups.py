"""Tables without users say more of each row: of its article, its order, its course's next day."""

from __future__ import annotations

import json
import pickle
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ingest_tools import put, settings_in, table

from events.batches import REJECTS, Batch
from events.erase import erase
from events.ingest import ingest
from events.lookups import looked_up
from events.mapping import SourcePlan
from events.sources import find_sources, plan_of
from events.staging import staged_name
from runtime.errors import HoldfastError
from runtime.settings import Settings

LOG = "user,ts,article\na,2024-03-01,7\nb,2024-03-02,8\na,2024-03-03,\nb,2024-03-04,99\n"
COLUMNS = {"user_id": "user", "ts": "ts"}
ARTICLES = {"name": "articles", "path": "articles.csv", "on": "article"}


def _settings(folder: Path, *lookups: dict[str, Any], **changes: Any) -> Settings:
    return settings_in(folder, **({"path": "log.*", "columns": COLUMNS} | changes), lookup=lookups)


def _known(folder: Path) -> list[dict[str, str]]:
    """The properties of each row, in the order of time."""
    return [json.loads(text or "{}") for text in table(folder).sort("ts")["properties"]]


def test_a_row_gets_what_the_table_says_of_its_key(tmp_path: Path) -> None:
    put(tmp_path, "log.csv", LOG)
    put(tmp_path, "articles.csv", "article,kind,maker\n7,tea,x\n8,,y\n9,cup,z\n")
    ingest(_settings(tmp_path, ARTICLES))
    assert _known(tmp_path) == [
        {"article": "7", "articles.kind": "tea", "articles.maker": "x"},
        {"article": "8", "articles.maker": "y"},
        {},
        {"article": "99"},
    ]


def test_the_columns_named_come_alone_and_can_be_mapped(tmp_path: Path) -> None:
    put(tmp_path, "log.csv", LOG)
    put(tmp_path, "articles.csv", "article,kind,maker,price\n7,tea,x,2.50\n8,cup,y,4\n")
    named = ARTICLES | {"columns": ["price", "kind"]}
    columns = COLUMNS | {"event": "articles.kind", "amount": "articles.price"}
    ingest(_settings(tmp_path, named, columns=columns, constants={"event": "other"}))
    events = table(tmp_path).sort("ts")
    assert events["event"].to_list() == ["tea", "cup", "other", "other"]
    assert events["amount"].to_list() == [2.5, 4.0, None, None]
    assert _known(tmp_path)[0] == {"article": "7"}


def test_whose_a_row_is_and_when_can_be_looked_up_and_one_table_lead_to_the_next(
    tmp_path: Path,
) -> None:
    put(tmp_path, "log.csv", "order,paid\n1,5\n1,6\n2,7\n3,8\n")
    put(tmp_path, "orders.csv", "id,customer,at\n1,10,01/03/2024\n2,11,31/03/2024\n")
    put(tmp_path, "people.csv", "customer,person\n10,ann\n11,bob\n")
    settings = _settings(
        tmp_path,
        {"name": "orders", "path": "orders.csv", "on": {"order": "id"}},
        {"name": "people", "path": "people.csv", "on": {"orders.customer": "customer"}},
        columns={"user_id": "people.person", "ts": "orders.at", "amount": "paid"},
        events={"deduplicate": "none"},
    )
    result = ingest(settings)
    assert (result.rows_added, result.quarantined) == (3, 1)
    events = table(tmp_path).sort("ts", "amount")
    assert events["user_id"].to_list() == ["ann", "ann", "bob"]
    assert [str(at.date()) for at in events["ts"]] == ["2024-03-01", "2024-03-01", "2024-03-31"]
    raw = json.loads(table(tmp_path, "quarantine")["raw"][0])
    assert raw == {"order": "3", "paid": "8"}


COURSES = {
    "name": "tests",
    "path": "tests.csv",
    "on": ["course", "year"],
    "next": "due",
    "timezone": "Europe/Berlin",
}


def test_the_next_day_of_a_key_is_that_of_the_row_or_the_first_after_it(tmp_path: Path) -> None:
    log = """user,ts,course,year
a,2024-03-01 23:30:00,m,1
a,2024-03-05 22:30:00,m,1
a,2024-03-05 23:30:00,m,1
a,2024-03-06 00:00:00,m,2
a,2024-03-09 00:00:00,m,1
a,2024-03-10 00:00:00,,1
"""
    days = "course,year,due,part\nm,1,2024-03-08,2\nm,1,2024-03-05,1\nm,2,2024-04-01,9\n"
    put(tmp_path, "log.csv", log)
    put(tmp_path, "tests.csv", days)
    ingest(_settings(tmp_path, COURSES, timezone="UTC"))
    known = [(p.get("tests.next_day"), p.get("tests.part")) for p in _known(tmp_path)]
    assert known == [
        ("2024-03-05", "1"),
        ("2024-03-05", "1"),  # a day is the source's own: in its zone it is still the 5th
        ("2024-03-05", "1"),
        ("2024-04-01", "9"),
        (None, None),
        (None, None),
    ]


def test_numbers_find_texts_and_null_words_find_nothing(tmp_path: Path) -> None:
    log = pl.DataFrame({"user": ["a", "a"], "ts": ["2024-03-01"] * 2, "article": [7.0, None]})
    log.write_parquet(tmp_path / "log.parquet")
    put(tmp_path, "articles.csv", "article,kind\n7,tea\n-,none\n-,other\n")
    ingest(_settings(tmp_path, ARTICLES | {"null_values": ["", "-"]}))
    assert sorted(p.get("articles.kind", "") for p in _known(tmp_path)) == ["", "tea"]


def test_lines_of_json_may_lack_the_key(tmp_path: Path) -> None:
    rows = [{"user": "a", "ts": "2024-03-01"}, {"user": "a", "ts": "2024-03-02", "article": 7}]
    put(tmp_path, "log.ndjson", "\n".join(json.dumps(row) for row in rows))
    put(tmp_path, "articles.csv", "article,kind\n7,tea\n")
    ingest(_settings(tmp_path, ARTICLES))
    assert [p.get("articles.kind") for p in _known(tmp_path)] == [None, "tea"]


def test_files_of_another_table_are_read_again(tmp_path: Path) -> None:
    """What an interrupted run has staged by an older table is not taken up."""
    put(tmp_path, "log.csv", LOG)
    put(tmp_path, "articles.csv", "article,kind\n7,tea\n")
    settings = _settings(tmp_path, ARTICLES)
    before = _plan(settings)
    assert staged_name(before, "digest", 1) == staged_name(_plan(settings), "digest", 1)
    put(tmp_path, "articles.csv", "article,kind\n7,cup\n")
    assert staged_name(before, "digest", 1) != staged_name(_plan(settings), "digest", 1)


def test_a_plan_can_be_sent_to_a_worker(tmp_path: Path) -> None:
    put(tmp_path, "log.csv", LOG)
    put(tmp_path, "articles.csv", "article,kind\n7,tea\n")
    plan = _plan(_settings(tmp_path, ARTICLES))
    sent = pickle.loads(pickle.dumps(plan))
    assert sent.tables[0].rows.equals(plan.tables[0].rows)


def test_a_person_whose_id_is_looked_up_is_erased_from_quarantine_too(tmp_path: Path) -> None:
    put(tmp_path, "log.csv", "order,paid\n1,5\n1,x\n2,x\n2,6\n")
    put(tmp_path, "orders.csv", "order,who,at\n1,ann,2024-03-01\n2,bob,2024-03-02\n")
    orders = {"name": "orders", "path": "orders.csv", "on": "order"}
    columns = {"user_id": "orders.who", "ts": "orders.at", "amount": "paid"}
    settings = _settings(tmp_path, orders, columns=columns)
    ingest(settings)
    erase(settings, ["ann"])
    assert table(tmp_path)["user_id"].to_list() == ["bob"]
    assert [json.loads(raw)["orders.who"] for raw in table(tmp_path, "quarantine")["raw"]] == [
        "bob"
    ]


@pytest.mark.parametrize(
    ("articles", "changes", "told"),
    [
        ("article,kind\n7,tea\n7,cup\n", {}, r"2 different rows have article '7', with 'tea' and"),
        ("number,kind\n7,tea\n", {}, r"lookup articles: no column 'article'.*\[source.lookup\]"),
        ("article,kind\n7,tea\n", {"on": "sku"}, r"no column 'sku'"),
        ("article,kind\n7,tea\n", {"on": {"sku": "article"}}, r"no column 'sku'"),
        ("article,kind\n7,tea\n", {"columns": ["maker"]}, r"no column 'maker'"),
        ("article,kind\n7,tea,9\n", {}, r"articles.csv: line 2: 3 fields"),
        ("article,kind\n", {}, r"articles.csv: holds no row"),
        ("article,kind\n1,tea\n", {}, r"none of 4 rows has a 'article' that is in it"),
        ("article,kind\n7,tea\n", {"on": []}, r"'on' names no column"),
        ("article,kind\n7,tea\n", {"path": "no.csv"}, r"lookup articles: no.csv: no such file"),
        ("article,kind\n7,tea\n", {"next": "kind"}, r"lookup articles, column 'kind'"),
        ("article,d\n7,01/02/2024\n", {"next": "d"}, r"time_format"),
    ],
)
def test_what_cannot_be_looked_up_is_refused_in_one_line(
    tmp_path: Path, articles: str, changes: dict[str, Any], told: str
) -> None:
    put(tmp_path, "log.csv", LOG)
    put(tmp_path, "articles.csv", articles)
    with pytest.raises(HoldfastError, match=told) as error:
        ingest(_settings(tmp_path, ARTICLES | changes))
    assert "\n" not in str(error.value)
    assert table(tmp_path).is_empty()


def test_two_lookups_of_one_name_and_a_column_that_is_there_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "articles.csv", "article,kind\n7,tea\n")
    with pytest.raises(HoldfastError, match="two lookups share a name"):
        _settings(tmp_path, ARTICLES, ARTICLES)
    put(tmp_path, "log.csv", "user,ts,article,articles.kind\na,2024-03-01,7,x\n")
    with pytest.raises(HoldfastError, match=r"a column 'articles\.kind' already"):
        ingest(_settings(tmp_path, ARTICLES))


def test_many_keys_that_are_not_in_the_table_are_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path, "log.csv", LOG)
    put(tmp_path, "articles.csv", "article,kind\n7,tea\n")
    ingest(_settings(tmp_path, ARTICLES))
    assert (
        "source 'log', lookup 'articles': 75.0% of the rows (3 of 4) have no 'article', or one "
        "that is not in it" in capsys.readouterr().err
    )


def test_a_later_file_of_new_keys_alone_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path, "log.csv", LOG)
    put(tmp_path, "articles.csv", "article,kind\n7,tea\n8,cup\n")
    settings = _settings(tmp_path, ARTICLES, path="log*.csv")
    ingest(settings)
    put(tmp_path, "log2.csv", "user,ts,article\nc,2024-03-05,12\n")
    assert ingest(settings).rows_added == 1
    assert "100.0% of the rows (1 of 1)" in capsys.readouterr().err


def _plan(settings: Settings) -> SourcePlan:
    found = find_sources(settings)[0]
    return plan_of(found, found.files, {}, settings)


KEYS = st.sampled_from(["k", "l", "m", None])
DAY = date(2024, 3, 1)
AFTER = st.integers(0, 6)


@given(
    rows=st.lists(st.tuples(KEYS, AFTER), min_size=1, max_size=12),
    days=st.lists(st.tuples(KEYS, AFTER), min_size=1, max_size=12),
)
@example(rows=[("k", 3), ("k", 0)], days=[("k", 3), ("k", 3), ("l", 0)])
def test_both_kinds_equal_a_search_row_by_row(
    rows: list[tuple[str | None, int]], days: list[tuple[str | None, int]]
) -> None:
    """`days`: the key and day of each row of a table; `n` numbers its rows."""
    told = [(key, (DAY + timedelta(n)).isoformat()) for key, n in rows]
    calendar = [(key, (DAY + timedelta(n)).isoformat(), str(i)) for i, (key, n) in enumerate(days)]
    firsts = {key: n for key, _, n in reversed(calendar) if key is not None}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _csv(folder, "log.csv", "user,ts,key", [("a", day, key) for key, day in told])
        _csv(folder, "calendar.csv", "key,day,n", calendar)
        _csv(folder, "first.csv", "key,n", list(firsts.items()) or [("?", "0")])
        settings = _settings(
            folder,
            {"name": "first", "path": "first.csv", "on": "key"},
            {"name": "calendar", "path": "calendar.csv", "on": "key", "next": "day"},
        )
        plan = _plan(settings)
    frame = pl.DataFrame(
        {"user": "a", "ts": [day for _, day in told], "key": [key for key, _ in told]},
        schema={"user": pl.String(), "ts": pl.String(), "key": pl.String()},
    )
    batch = Batch(frame, pl.int_range(len(told), eager=True), pl.DataFrame(schema=REJECTS))
    found = looked_up(batch, plan).batch.rows
    assert found["first.n"].to_list() == [firsts.get(key) for key, _ in told]
    for (key, day), next_day, number in zip(
        told, found["calendar.next_day"], found["calendar.n"], strict=True
    ):
        later = [(d, n) for k, d, n in calendar if k == key and k is not None and d >= day]
        first = min((d for d, _ in later), default=None)
        assert next_day == first
        assert number == next((n for d, n in later if d == first), None)


def _csv(folder: Path, name: str, head: str, rows: list[Any]) -> None:
    lines = (",".join("" if value is None else value for value in row) for row in rows)
    put(folder, name, "\n".join([head, *lines]) + "\n")
