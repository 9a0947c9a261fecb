"""What `init` makes of files without users: what can be looked up, and by what."""

from __future__ import annotations

from pathlib import Path

import pytest
from ingest_tools import put, table

from events.ingest import ingest
from events.propose import propose
from runtime.settings import Settings, load_settings
from runtime.settings_sources import Lookup

USERS, ARTICLES = 30, 20
LOG = "customer_id,date,article,shop\n" + "".join(
    f"c{n % USERS},2024-0{1 + n % 9}-{1 + n // 9 % 28:02d},{n % ARTICLES},s{n % 3}\n"
    for n in range(600)
)


def _proposed(folder: Path) -> tuple[str, Settings]:
    target = folder / "holdfast.toml"
    target.write_text(propose([folder], target), encoding="utf-8")
    return target.read_text(encoding="utf-8"), load_settings(target)


def _lookups(folder: Path, others: dict[str, str]) -> tuple[str, tuple[Lookup, ...]]:
    put(folder, "log.csv", LOG)
    for name, content in others.items():
        put(folder, name, content)
    text, settings = _proposed(folder)
    assert [source.name for source in settings.source] == ["log"]
    return text, settings.source[0].lookup


def _articles(columns: str = "kind,maker", first: int = 0) -> str:
    rows = (f"{n},k{n % 4},{n % 7}\n" for n in range(first, first + ARTICLES))
    return f"article,{columns}\n" + "".join(rows)


def test_a_table_of_articles_is_looked_up_and_the_store_has_what_it_says(tmp_path: Path) -> None:
    text, (found,) = _lookups(tmp_path, {"articles.csv": _articles()})
    assert (found.name, found.keys) == ("articles", {"article": "article"})
    assert (found.columns, found.next) == (("kind", "maker"), None)
    assert "Left out" not in text
    ingest(load_settings(tmp_path / "holdfast.toml"))
    assert table(tmp_path)["properties"].str.contains('"articles.kind":"k').all()


def test_what_is_written_at_the_export_is_not_looked_up(tmp_path: Path) -> None:
    _, (found,) = _lookups(tmp_path, {"articles.csv": _articles("kind,total_sales")})
    assert found.columns == ("kind",)


@pytest.mark.parametrize(
    "other",
    [
        _articles(first=15),  # of other articles
        "article,kind\n" + "".join(f"{n % 9},k{n}\n" for n in range(ARTICLES)),  # several, no day
        "article\n" + "".join(f"{n}\n" for n in range(ARTICLES)),  # says nothing
        "maker,kind\n" + "".join(f"m{n},k{n % 4}\n" for n in range(ARTICLES)),  # shares no key
    ],
)
def test_what_says_nothing_of_most_rows_is_left_out_with_its_reason(
    tmp_path: Path, other: str
) -> None:
    text, found = _lookups(tmp_path, {"articles.csv": other})
    assert found == ()
    assert "# Left out: articles.csv" in text


def _days(column: str) -> str:
    rows = (f"s{shop},2024-{month:02d}-05\n" for shop in range(3) for month in range(1, 13))
    return f"shop,{column}\n" + "".join(rows)


@pytest.mark.parametrize(
    ("file", "column", "active"),
    [("deadlines.csv", "day", True), ("shops.csv", "sale_due", True), ("shops.csv", "day", False)],
)
def test_the_next_day_is_looked_up_where_its_name_says_that_it_was_fixed(
    tmp_path: Path, file: str, column: str, active: bool
) -> None:
    text, found = _lookups(tmp_path, {file: _days(column)})
    if not active:
        assert found == ()
        assert "fixed before. Was it?\n# [[source.lookup]]" in text
        text = text.replace("# [[source.lookup]]", "[[source.lookup]]")
        for key in ("name", "path", "format", "delimiter", "on", "next", "time_format", "columns"):
            text = text.replace(f"\n# {key} = ", f"\n{key} = ")
        (tmp_path / "holdfast.toml").write_text(text, encoding="utf-8")
        found = load_settings(tmp_path / "holdfast.toml").source[0].lookup
    (lookup,) = found
    assert (lookup.keys, lookup.next) == ({"shop": "shop"}, column)
    ingest(load_settings(tmp_path / "holdfast.toml"))
    named = table(tmp_path)["properties"].str.extract(r"next_day\":\"(\d{4}-\d\d-05)\"")
    assert named.null_count() == 0


def test_one_table_of_two_sources_and_days_that_count_from_the_sources_own(tmp_path: Path) -> None:
    rows = [(f"c{n % USERS},{n // 3}", f"s{n % 3}") for n in range(600)]
    reads = "".join(f"{who},x{shop},{shop}\n" for who, shop in rows)
    visits = "".join(f"{who},{shop}\n" for who, shop in rows)
    put(tmp_path, "reads.csv", "customer_id,day,page,shop\n" + reads)
    put(tmp_path, "visits.csv", "customer_id,day,shop\n" + visits)
    put(tmp_path, "exams.csv", "shop,day\n" + "".join(f"s{n % 3},{n * 9}\n" for n in range(25)))
    text, settings = _proposed(tmp_path)
    assert [source.time_format for source in settings.source] == ["days since 2000-01-01"] * 2
    found = [source.lookup[0] for source in settings.source]
    assert [(one.next, one.time_format) for one in found] == [("day", "days since 2000-01-01")] * 2
    assert "Left out" not in text


def _orders(folder: Path, columns: str = "order,customer_id,date") -> None:
    rows = (f"{n},c{n % USERS},2024-0{1 + n % 9}-{1 + n // 9 % 28:02d}\n" for n in range(300))
    put(folder, "orders.csv", columns + "\n" + "".join(rows))


def _parts(columns: str = "order,sku,price", first: int = 0) -> str:
    rows = (f"{first + n // 2},{n % 9},{n % 7}.5\n" for n in range(600))
    return columns + "\n" + "".join(rows)


def test_parts_of_orders_are_a_source_whose_users_and_times_are_looked_up(tmp_path: Path) -> None:
    _orders(tmp_path)
    put(tmp_path, "lines.csv", _parts())
    put(tmp_path, "skus.csv", "sku,kind\n" + "".join(f"{n},k{n % 3}\n" for n in range(9)))
    text, settings = _proposed(tmp_path)
    lines, orders = settings.source
    assert (orders.name, orders.columns.amount) == ("orders", None)
    assert (lines.columns.user_id, lines.columns.ts) == ("orders.customer_id", "orders.date")
    assert (lines.columns.amount, lines.constants.event) == ("price", "lines")
    assert [lookup.name for lookup in lines.lookup] == ["orders", "skus"]
    assert "[value]" in text
    assert "Left out" not in text
    ingest(settings)
    events = table(tmp_path)
    assert events.filter(event="lines")["amount"].sum() == sum(n % 7 + 0.5 for n in range(600))
    times = {who: set(of["ts"]) for (who,), of in events.group_by("event")}
    assert times["lines"] == times["orders"]


@pytest.mark.parametrize(
    ("orders", "parts"),
    [
        ("order,customer_id,date", _parts(first=250)),  # of other orders
        ("order,customer_id,date", _parts("order,sku,size")),  # without amounts
        ("number,customer_id,date", _parts()),  # shares no key
    ],
)
def test_what_is_no_part_of_a_log_is_left_out(tmp_path: Path, orders: str, parts: str) -> None:
    _orders(tmp_path, orders)
    put(tmp_path, "lines.csv", parts)
    text, settings = _proposed(tmp_path)
    assert [source.name for source in settings.source] == ["orders"]
    assert "# Left out: lines.csv" in text


def test_of_two_files_of_parts_that_with_the_likelier_amounts_is_taken(tmp_path: Path) -> None:
    _orders(tmp_path)
    put(tmp_path, "lines.csv", _parts("order,sku,price"))
    put(tmp_path, "payments.csv", _parts("order,way,amount"))
    text, settings = _proposed(tmp_path)
    assert [source.name for source in settings.source] == ["orders", "payments"]
    assert "# Left out: lines.csv" in text


def test_whose_orders_are_may_stand_in_a_table_of_their_ids(tmp_path: Path) -> None:
    """Each order has a customer id of its own, and a table tells which are one person's."""
    rows = (f"{n},x{n},2024-0{1 + n % 9}-{1 + n // 9 % 28:02d}\n" for n in range(300))
    put(tmp_path, "orders.csv", "order,customer_id,date\n" + "".join(rows))
    people = (f"x{n},p{n % USERS},t{n % 4}\n" for n in range(300))
    put(tmp_path, "people.csv", "customer_id,customer_unique_id,town\n" + "".join(people))
    put(tmp_path, "lines.csv", _parts("order,line_sequential,price"))
    stars = (f"{n},2024-10-{1 + n % 28:02d},{n % 5}\n" for n in range(300))
    put(tmp_path, "reviews.csv", "order,written_at,stars\n" + "".join(stars))
    text, settings = _proposed(tmp_path)
    assert {source.columns.user_id for source in settings.source} == {"people.customer_unique_id"}
    assert "HARDLY ANY USER" not in text
    ingest(settings)
    events = table(tmp_path)
    assert set(events["user_id"]) == {f"p{n}" for n in range(USERS)}
    towns = events.filter(event="orders")["properties"].str.contains('"people.town":"t')
    assert towns.all()
    counts = dict(events["event"].value_counts().iter_rows())
    assert counts == {"lines": 600, "orders": 300, "reviews": 300}
    assert {source.columns.amount for source in settings.source} == {"price", None}


def test_events_of_sessions_are_of_the_sessions_users(tmp_path: Path) -> None:
    clicks = (
        f"s{n // 3},2024-0{1 + n // 3 % 9}-{1 + n // 27 % 28:02d} 10:0{n % 3}:00,p{n % 5}\n"
        for n in range(900)
    )
    put(tmp_path, "clicks.csv", "session_id,at,page\n" + "".join(clicks))
    sessions = (f"s{n},u{n % USERS},d{n % 2}\n" for n in range(300))
    put(tmp_path, "sessions.csv", "session_id,user_id,device\n" + "".join(sessions))
    _, settings = _proposed(tmp_path)
    (clicks_of,) = settings.source
    assert (clicks_of.name, clicks_of.columns.user_id) == ("clicks", "sessions.user_id")
    result = ingest(settings)
    assert (result.rows_added, result.users, result.quarantined) == (900, USERS, 0)


def test_an_articles_author_is_no_user_of_its_readers_log(tmp_path: Path) -> None:
    put(tmp_path, "views.csv", LOG.replace("customer_id", "Wer"))
    rows = (f"{n},a{n % 4}\n" for n in range(ARTICLES))
    put(tmp_path, "articles.csv", "article,author\n" + "".join(rows))
    _, settings = _proposed(tmp_path)
    assert [source.columns.user_id for source in settings.source] == ["Wer"]
