"""What `holdfast init` proposes: layouts nobody has described work at once."""

from __future__ import annotations

import gzip
import json
import random
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from ingest_tools import put, settings_in

from events.ingest import ingest
from events.propose import propose
from events.propose_roles import words_of
from events.store import open_store
from runtime.errors import InputError
from runtime.settings import Settings, load_settings

DATA = Path(__file__).parents[2].parent / "shared" / "data"
START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 200
RANDOM = random.Random(3)
LOG = sorted(
    (
        (RANDOM.randint(1, 120), START + timedelta(seconds=RANDOM.randint(0, DAYS * 86_400)))
        for _ in range(1_500)
    ),
    key=lambda row: row[1],
)
Write = Callable[[Path], None]


@dataclass(frozen=True)
class Layout:
    """`columns`: the roles that must be found; `users` of the store; `kind` of churn."""

    write: Write
    columns: dict[str, str | None]
    deduplicate: str
    kind: str = "passive"
    quarantined: int = 0


def _lines(
    name: str, head: str, row: Callable[[int, int, datetime], str], zipped: bool = False
) -> Write:
    text = head + "".join(row(i, user, ts) for i, (user, ts) in enumerate(LOG))
    content = gzip.compress(text.encode()) if zipped else text.encode()
    return lambda folder: put(folder, name, content) and None


def _analytics(folder: Path) -> None:
    lines = []
    for i, (user, ts) in enumerate(LOG):
        event = "cancel_subscription" if i % 60 == 0 else ("buy" if i % 9 == 0 else "open")
        line = {
            "distinct_id": 2**64 - 1 - user,
            "event": event,
            "time": int(ts.timestamp() * 1000),
            "$insert_id": f"i{i}",
            "properties": {"os": "ios"},
        }
        lines.append(json.dumps(line | ({"revenue": 9.5} if event == "buy" else {})))
    put(folder, "log.ndjson", "\n".join(lines))


def _parquet(folder: Path) -> None:
    frame = pl.DataFrame(
        {
            "userId": pl.Series([2**63 + user for user, _ in LOG], dtype=pl.UInt64),
            "createdAt": [ts.replace(tzinfo=None) for _, ts in LOG],
            "eventType": ["view" if i % 3 else "order" for i in range(len(LOG))],
            "total_amount": [1.5] * len(LOG),
        }
    )
    frame.write_parquet(folder / "log.parquet")


LAYOUTS = {
    "analytics NDJSON": Layout(
        _analytics,
        {
            "user_id": "distinct_id",
            "ts": "time",
            "event": "event",
            "amount": "revenue",
            "event_id": "$insert_id",
        },
        "event_id",
        kind="active",
    ),
    "German CSV": Layout(
        _lines(
            "bestellungen.csv",
            "\ufeffKundennummer;Datum;Betrag;Filiale\r\n",
            lambda i, u, t: f"{u:06d};{t:%d.%m.%Y};{i % 9 + 1}.{i % 900 + 100},50;Köln\r\n",
        ),
        {"user_id": "Kundennummer", "ts": "Datum", "amount": "Betrag"},
        "none",
    ),
    "typed Parquet": Layout(
        _parquet,
        {"user_id": "userId", "ts": "createdAt", "event": "eventType", "amount": "total_amount"},
        "row",
    ),
    "headerless blanks": Layout(
        _lines("log.dat.gz", "", lambda i, u, t: f"  {u:05d}   {t:%Y%m%d} {i % 7:5.2f}\r\n", True),
        {"user_id": "column_1", "ts": "column_2", "amount": "column_3"},
        "none",
    ),
    "American tabs": Layout(
        _lines(
            "sales.tsv",
            "Order ID\tCustomer ID\tOrder Date\tSales\n",
            lambda i, u, t: f"O{i}\tC-{u}\t{t:%m/%d/%Y %I:%M %p}\t{i % 90}.25\n",
        ),
        {"user_id": "Customer ID", "ts": "Order Date", "amount": "Sales", "event_id": "Order ID"},
        "event_id",
    ),
    "row numbers": Layout(
        _lines(
            "a.csv",
            ",user_id,event_time,event_type,price\n",
            lambda i, u, t: f"{i},{u},{t:%Y-%m-%d %H:%M:%S} UTC,{'cart' if i % 3 else 'view'},1\n",
        ),
        {"user_id": "user_id", "ts": "event_time", "event": "event_type", "amount": "price"},
        "row",
    ),
    "pipes and fractions": Layout(
        _lines("p.txt", "uid|t|action\n", lambda i, u, t: f"{u}|{t.timestamp():.3f}|play\n"),
        {"user_id": "uid", "ts": "t"},
        "row",
    ),
    "clicks without a header": Layout(
        _lines(
            "clicks.csv",
            "",
            lambda i, u, t: f"{u},{i % 90},{('pv', 'cart', 'buy')[i % 3]},{int(t.timestamp())}\n",
        ),
        {"user_id": "column_1", "ts": "column_4", "event": "column_3", "amount": None},
        "row",
    ),
    "seconds and articles": Layout(
        _lines(
            "plays.csv",
            "user_id,day,total_secs,song_id\n",
            lambda i, u, t: f"{u},{t:%Y-%m-%d},{i % 900}.5,{i}\n",
        ),
        {"user_id": "user_id", "ts": "day", "amount": None, "event_id": None},
        "none",
    ),
    "guests": Layout(
        _lines(
            "retail.csv",
            "InvoiceNo,Description,Quantity,InvoiceDate,UnitPrice,CustomerID\n",
            lambda i, u, t: f'{i // 4},"A, ""B""",6,{t:%m/%d/%Y %H:%M},2.5,{u if i % 5 else ""}\n',
        ),
        {
            "user_id": "CustomerID",
            "ts": "InvoiceDate",
            "amount": "UnitPrice",
            "quantity": "Quantity",
        },
        "row",
        quarantined=300,
    ),
}


def _proposed(folder: Path, files: list[Path]) -> Settings:
    target = folder / "holdfast.toml"
    target.write_text(propose(files, target), encoding="utf-8")
    return load_settings(target)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_an_unseen_layout_works_at_once(tmp_path: Path, layout: Layout) -> None:
    layout.write(tmp_path)
    settings = _proposed(tmp_path, list(tmp_path.iterdir()))
    columns = settings.source[0].columns.model_dump(exclude={"properties"}, exclude_none=True)
    assert {name: columns.get(name) for name in layout.columns} == layout.columns
    assert (settings.events.deduplicate, settings.churn.kind) == (layout.deduplicate, layout.kind)
    result = ingest(settings)
    assert (result.rows_read, result.quarantined) == (len(LOG), layout.quarantined)
    store = open_store(settings)
    span = (store.covered_until - store.first).days
    horizon = max(settings.churn.horizon_days, settings.value_horizon_days)
    assert span >= 4 * horizon
    assert abs(span - DAYS) <= 2


def test_files_of_one_layout_are_one_source_and_a_table_of_users_is_seen(tmp_path: Path) -> None:
    row = "{u},{t:%Y-%m-%d},{i}\n"
    for part in range(3):
        rows = [row.format(u=u, t=t, i=i) for i, (u, t) in enumerate(LOG) if i % 3 == part]
        put(tmp_path, f"calls_{part}.csv", "user_id,call_date,minutes\n" + "".join(rows))
    texts = "user_id,sent_at\n" + "".join(f"{u},{t:%Y-%m-%d}\n" for u, t in LOG[:400])
    put(tmp_path, "texts.csv", texts)
    users = (
        f"{u},2023-0{u % 9 + 1}-11,{'0000-00-00' if u % 9 else '2024-03-05'},p{u % 3}\n"
        for u in range(1, 121)
    )
    put(tmp_path, "users.csv", "user_id,reg_date,churn_date,plan\n" + "".join(users))
    put(tmp_path, "plans.csv", "plan,fee\np0,10\np1,20\n")
    settings = _proposed(tmp_path, [tmp_path])
    assert [(s.name, s.path) for s in settings.source] == [
        ("calls", "calls_*.csv"),
        ("texts", "texts.csv"),
    ]
    assert settings.users is not None
    assert settings.users.attributes == ("plan",)
    assert settings.churn.date_column == "churn_date"
    assert "# Left out: plans.csv" in (tmp_path / "holdfast.toml").read_text()
    assert ingest(settings).quarantined == 0


def test_day_and_month_that_cannot_be_told_apart_are_marked(tmp_path: Path) -> None:
    rows = (f"u{i % 9},{i // 12 % 12 + 1:02d}/{i % 12 + 1:02d}/2024,1.5\n" for i in range(144))
    put(tmp_path, "a.csv", "client,date,amt\n" + "".join(rows))
    settings = _proposed(tmp_path, [tmp_path / "a.csv"])
    assert settings.source[0].time_format == "%m/%d/%Y"  # so the rows are in order
    assert "DAY AND MONTH MAY BE THE OTHER WAY ROUND" in (tmp_path / "holdfast.toml").read_text()
    assert ingest(settings).quarantined == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "empty"), ("user,score\na,1\n", "time of an event"), (None, "no such file")],
)
def test_what_is_no_log_is_refused(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        put(tmp_path, "a.csv", content)
    with pytest.raises(InputError, match=words):
        propose([tmp_path / "a.csv"], tmp_path / "holdfast.toml")


def test_names_fall_into_words() -> None:
    for name in ("userId", "User ID", "user_id", "userid", "USER-ID"):
        assert words_of(name) == ["user", "id"] or name == "USER-ID"
    assert words_of("Kundennummer") == ["kunden", "nummer"]


SETS = {
    "cdnow/CDNOW_master.txt": 69_659,
    "cdnow/CDNOW_sample.txt": 6_919,
    "collegemsg/CollegeMsg.txt.gz": 59_835,
    "grocery/groceryElog.csv": 10_483,
    "megaline": 318_611,
    "retentioneering_ecom": 31_106,
    "yandex_afisha": 50_415,
}


@pytest.mark.parametrize(("name", "rows"), SETS.items(), ids=SETS.keys())
def test_real_sets_work_at_once(tmp_path: Path, name: str, rows: int) -> None:
    if not (DATA / name).exists():
        pytest.skip(f"{name}: the data sets are not beside this checkout")
    result = ingest(_proposed(tmp_path, [DATA / name]))
    assert (result.rows_read, result.quarantined) == (rows, 0)


@pytest.mark.parametrize(
    ("amounts", "paying"),
    [
        ({"view": 3.0, "cart": 3.0, "purchase": 3.0}, ["purchase"]),
        (
            {"product_view": 3.0, "add_to_cart": 3.0, "order_paid": 3.0, "order_start": 3.0},
            ["order_paid"],
        ),
        ({"ViewItem": 3.0, "Purchase": 3.0, "Refunded": -3.0}, ["Purchase", "Refunded"]),
        ({"view": 0.0, "purchase": 3.0}, None),
        ({"view": None, "purchase": 3.0, "renewal": 4.0}, None),
        ({"listen": 3.0, "tip": 1.0}, None),
        ({"refund": -3.0, "buy": 3.0}, None),
    ],
)
def test_the_price_of_what_was_looked_at_is_no_value(
    tmp_path: Path, amounts: dict[str, float | None], paying: list[str] | None
) -> None:
    kinds = list(amounts)
    rows = [
        f"{u},{t:%Y-%m-%d %H:%M:%S},{kinds[i % len(kinds)]},{amounts[kinds[i % len(kinds)]]}\n"
        for i, (u, t) in enumerate(LOG)
    ]
    put(tmp_path, "log.csv", "user_id,event_time,event_type,price\n" + "".join(rows))
    settings = _proposed(tmp_path, [tmp_path / "log.csv"])
    assert settings.value.events == (tuple(paying) if paying else None)


def test_another_column_that_could_be_the_money_is_named(tmp_path: Path) -> None:
    rows = [f"{t:%Y-%m-%d},{u},{i % 9},{i % 99}\n" for i, (u, t) in enumerate(LOG)]
    put(tmp_path, "log.csv", "DATE,CUSTOMER_ID,AMOUNT,SALES_PRICE\n" + "".join(rows))
    text = propose([tmp_path / "log.csv"], tmp_path / "holdfast.toml")
    assert 'amount = "AMOUNT" # or "SALES_PRICE"?' in text


@pytest.mark.parametrize(("name", "said"), [("customer_id", True), ("user_id", False)])
def test_an_id_that_is_seen_once_is_no_users(tmp_path: Path, name: str, said: bool) -> None:
    rows = [f"{i if said else u},{t:%Y-%m-%d %H:%M:%S}\n" for i, (u, t) in enumerate(LOG)]
    put(tmp_path, "orders.csv", f"{name},bought_at\n" + "".join(rows))
    text = propose([tmp_path / "orders.csv"], tmp_path / "holdfast.toml")
    assert ("COMES ON TWO DAYS" in text) is said


def _in_partitions(folder: Path) -> None:
    for month in ("01", "02", "03"):
        rows = [f"{user},{ts:%Y-%m-%d %H:%M:%S}\n" for user, ts in LOG if f"{ts:%m}" == month]
        put(folder, f"year=2024/month={month}/part-00000.csv", "customer_id,at\n" + "".join(rows))
    put(folder, "year=2024/_SUCCESS", "")
    put(folder, "_logs/part-00000.csv", "nothing\n")
    put(folder, "crm/list.csv", "customer_id,rank\n1,1\n")


def test_a_folder_of_partitions_is_one_source(tmp_path: Path) -> None:
    _in_partitions(tmp_path / "orders")
    text = propose([tmp_path / "orders"], tmp_path / "holdfast.toml")
    (source,) = tomllib.loads(text)["source"]
    assert (source["name"], source["path"]) == ("orders", "orders/*/*/*.csv")
    result = ingest(_proposed(tmp_path, [tmp_path / "orders"]))
    assert (result.rows_added, result.files_added) == (sum(ts.month <= 3 for _, ts in LOG), 3)


def test_a_source_can_be_the_folder_of_its_partitions(tmp_path: Path) -> None:
    _in_partitions(tmp_path / "orders")
    settings = settings_in(tmp_path, path="orders", columns={"user_id": "customer_id", "ts": "at"})
    assert ingest(settings).files_added == 3


def test_a_folder_without_a_file_says_which_folders_in_it_would_be_read(tmp_path: Path) -> None:
    put(tmp_path, "lake/raw/log.csv", "user,at\n1,2024-01-01\n")
    with pytest.raises(InputError, match=r"lake: the folder holds no file .* 'year=2024'"):
        propose([tmp_path / "lake"], tmp_path / "holdfast.toml")


def test_what_is_filled_when_a_user_leaves_is_no_attribute(tmp_path: Path) -> None:
    lines = [f"{user},{ts:%Y-%m-%d %H:%M:%S}\n" for user, ts in LOG]
    put(tmp_path, "log.csv", "user_id,at\n" + "".join(lines))
    users = [
        f"{user},basic,2024-06-0{user % 9 + 1},moved\n" if user % 4 == 0 else f"{user},plus,,\n"
        for user in range(1, 121)
    ]
    put(tmp_path, "users.csv", "user_id,plan,terminated_on,reason\n" + "".join(users))
    target = tmp_path / "holdfast.toml"
    text = propose([tmp_path / "log.csv", tmp_path / "users.csv"], target)
    assert tomllib.loads(text)["users"]["attributes"] == ["plan"]
    assert "# Left out: 'reason': filled only where 'terminated_on' is." in text


def test_what_is_named_after_leaving_is_neither_attribute_nor_property(tmp_path: Path) -> None:
    lines = [f"{user},{ts:%Y-%m-%d %H:%M:%S},{user % 2},web\n" for user, ts in LOG]
    put(tmp_path, "log.csv", "user_id,at,Attrition_Flag,browser\n" + "".join(lines))
    users = [f"{user},{user % 3},{user % 2},open\n" for user in range(1, 121)]
    put(tmp_path, "users.csv", "user_id,cars,hasExited,account_status\n" + "".join(users))
    target = tmp_path / "holdfast.toml"
    text = propose([tmp_path / "log.csv", tmp_path / "users.csv"], target)
    found = tomllib.loads(text)
    assert found["users"]["attributes"] == ["cars"]
    assert found["source"][0]["columns"]["properties"] == ["browser"]
    assert "# Left out by name, as of the day of the export: 'hasExited', 'account_status'." in text
    assert "# without what tells who has left: Attrition_Flag" in text
