"""Layouts that well-known public logs have: what `init` proposes for each, and that it works."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ingest_tools import put

from events import propose_files
from events.ingest import ingest
from events.propose import propose
from events.propose_look import look_at
from events.store import open_store
from runtime.errors import InputError
from runtime.settings import Settings, load_settings

START = datetime(2023, 1, 1, tzinfo=UTC)
DAYS = 200
RANDOM = random.Random(5)
LOG = sorted(
    (
        (RANDOM.randint(1, 120), START + timedelta(minutes=RANDOM.randint(0, DAYS * 1440)))
        for _ in range(1_500)
    ),
    key=lambda row: row[1],
)
Row = Callable[[int, int, datetime], str]


def _day(at: datetime) -> int:
    return (at - START).days + 1


@dataclass(frozen=True)
class Layout:
    """`columns`: the roles that must be found, None for one that must not; `source`: settings of
    the source beside them; `said`: in the file proposed."""

    head: str
    row: Row
    columns: dict[str, str | None]
    source: dict[str, object] = field(default_factory=dict)
    said: str = ""
    name: str = "log.csv"
    encoding: str = "utf-8"
    quarantined: int = 0
    users: int = 120


def _json(row: Callable[[int, int, datetime], dict[str, object]]) -> Row:
    return lambda i, u, t: json.dumps(row(i, u, t)) + "\n"


LAYOUTS = {
    "a month's usage with both its ends": Layout(
        "subscriber_id,period_start,period_end,charged\n",
        lambda i, u, t: f"{u},{t:%Y-%m-%d},{t + timedelta(27):%Y-%m-%d},{i % 90}.25\n",
        {"ts": "period_start", "amount": "charged"},
        said='ts = "period_start" # or "period_end"? it must be when the row was known',
    ),
    "amounts in micros, and the app's version": Layout(
        "user_id,at,price_micros,app_version\n",
        lambda i, u, t: f"{u},{t:%Y-%m-%d %H:%M:%S},{i % 9 * 990000},1.{i % 3}.0\n",
        {"ts": "at", "amount": "price_micros", "channel": None},
        said='amount = "price_micros" # in micros: so are all figures of money',
    ),
    "numbers of days and a clock": Layout(
        "household_key,BASKET_ID,DAY,QUANTITY,SALES_VALUE,RETAIL_DISC,TRANS_TIME,WEEK_NO\n",
        lambda i, u, t: f"{u},{i},{_day(t)},2,{i % 90}.25,-0.6,{t:%H%M},{_day(t) // 7 + 1}\n",
        {"user_id": "household_key", "ts": "DAY", "clock": "TRANS_TIME", "amount": "SALES_VALUE"},
        {"time_format": "days since 2000-01-01"},
        said="WHICH DATE 0 IS, NO FILE TELLS",
    ),
    "who wrote to whom, seconds since the first": Layout(
        "",
        lambda i, u, t: f"{u} {i * 7 % 120} {(t - START).total_seconds():.0f}\n",
        {"user_id": "column_1", "ts": "column_3"},
        {"time_format": "seconds since 2000-01-01"},
        said="WHICH DATE 0 IS, NO FILE TELLS",
        name="log.txt",
    ),
    "seconds since a course began, in rows with numbers": Layout(
        "ACTIONID\tUSERID\tTARGETID\tTIMESTAMP\n",
        lambda i, u, t: f"{i}\t{u}\t{i * 7 % 90}\t{(t - START).total_seconds():.1f}\n",
        {"user_id": "USERID", "ts": "TIMESTAMP", "event_id": "ACTIONID"},
        {"time_format": "seconds since 2000-01-01"},
        name="log.tsv",
    ),
    "a user by name, and pages by number": Layout(
        "rev_id\tpage_id\tpage_title\tuser_text\trev_timestamp\n",
        lambda i, u, t: f"{7_000_000 + i}\t{i % 90}\tA {i % 90}\tUser{u}\t{t:%Y%m%d%H%M%S}\n",
        {"user_id": "user_text", "ts": "rev_timestamp", "event_id": "rev_id"},
        name="log.tsv",
    ),
    "several kinds of event": Layout(
        "user,at,event\n",
        lambda i, u, t: f"{u},{t:%Y-%m-%d %H:%M:%S},{'visit' if i % 5 else 'note'}\n",
        {"user_id": "user", "event": "event"},
        said='# Each of these counts as the user being active: "visit", "note".',
    ),
    "pieces that are called an amount": Layout(
        "TRANSACTION_DT,CUSTOMER_ID,PRODUCT_ID,AMOUNT,ASSET,SALES_PRICE,TAX\n",
        lambda i, u, t: (
            f"{t:%m/%d/%Y},{1_000_000 + u},{i % 70},{1 + i % 7 // 5},9,{30 + i % 90},3\n"
        ),
        {"user_id": "CUSTOMER_ID", "amount": "SALES_PRICE"},
    ),
    "an amount of ones beside a tax": Layout(
        "user,at,amount,tax\n",
        lambda i, u, t: f"{u},{t:%Y-%m-%d %H:%M:%S},{1 + i % 7 // 5},{i % 90}.5\n",
        {"user_id": "user", "amount": "amount"},
    ),
    "rows that say what they are": Layout(
        "record_type,guest_id,booked_at,total_price,room_type\n",
        lambda i, u, t: (
            f"{'BOOKING' if i % 5 else 'CANCELLATION'},G-{u},{t:%m/%d/%Y %I:%M %p},"
            f"{i % 90 + 0.5},{('single', 'double')[i % 2]}\n"
        ),
        {"user_id": "guest_id", "event": "record_type", "amount": "total_price"},
    ),
    "what became of mail": Layout(
        "recipient_id\tstatus\tcampaign\tlogged_at\n",
        lambda i, u, t: (
            f"G-{u}\t{('sent', 'opened', 'Sent', 'clicked')[i % 4]}\tNL{i % 9}\t"
            f"{t:%d-%m-%Y %H:%M:%S}\n"
        ),
        {"user_id": "recipient_id", "event": "status"},
        name="log.tsv",
    ),
    "mail among the events": Layout(
        "user,at,event\n",
        lambda i, u, t: f"{u},{t:%Y-%m-%d %H:%M:%S},{'visit' if i % 5 else 'mail_sent'}\n",
        {"user_id": "user", "event": "event"},
        said='# "mail_sent": done to the user, by its name.\nexclude = ["mail_sent"]',
    ),
    "milliseconds since the first": Layout(
        "player,t,level\n",
        lambda i, u, t: f"{u},{(t - START).total_seconds() * 1000:.0f},{i % 9}\n",
        {"user_id": "player", "ts": "t"},
        {"time_format": "milliseconds since 2000-01-01"},
    ),
    "a header with one name for a list": Layout(
        "user_id,item_id,timestamp,state_label,comma_separated_list_of_features\n",
        lambda i, u, t: f"{u},{i % 80},{(t - START).total_seconds()},{i % 300 == 0:d},1.5,-2,{i}\n",
        {"user_id": "user_id", "ts": "timestamp"},
        {
            "time_format": "seconds since 2000-01-01",
            "names": (
                *("user_id", "item_id", "timestamp", "state_label"),
                *("comma_separated_list_of_features", "column_6", "column_7"),
            ),
        },
        said="without what tells who has left: state_label",
    ),
    "a header that leaves out the row's number": Layout(
        "customer\twhen\tspent\n",
        lambda i, u, t: f"{i + 1}\t{u}\t{t:%Y-%m-%d}\t{i % 90}.25\n",
        {"user_id": "customer", "ts": "when", "amount": "spent"},
        {"names": ("column_1", "customer", "when", "spent"), "delimiter": "\t"},
        said="without row numbers: column_1",
    ),
    "numbers of days before and after a start": Layout(
        '"code_module","id_student","date","sum_click"\n',
        lambda i, u, t: f'"AAA","{u}","{_day(t) - 20}","{i % 9}"\n',
        {"user_id": "id_student", "ts": "date", "amount": None},
        {"time_format": "days since 2000-01-01"},
    ),
    "days as Excel counts": Layout(
        "Customer,Date,Sales\n",
        lambda i, u, t: f"{u},{44926 + (t - START) / timedelta(days=1):.5f},{i % 90}.5\n",
        {"user_id": "Customer", "ts": "Date", "amount": "Sales"},
        {"time_format": "days since 1899-12-30"},
        said="as Excel counts",
    ),
    "two digits of the year": Layout(
        '"trans_id";"account_id";"date";"type";"operation";"amount";"balance"\n',
        lambda i, u, t: f'{i};{u};{t:%y%m%d};"IN";"{"VKLAD" if i % 4 else ""}";{i % 90};9.5\n',
        {"user_id": "account_id", "ts": "date", "event": "operation", "event_id": "trans_id"},
        {"time_format": "%y%m%d"},
        said="event = \"log\" # of rows whose 'operation' is empty",
    ),
    "to the minute": Layout(
        "CUST_ID,TXN_DT,AMT\n",
        lambda i, u, t: f"{u},{t:%Y%m%d%H%M},{i % 90}.5\n",
        {"user_id": "CUST_ID", "ts": "TXN_DT", "amount": "AMT"},
        {"time_format": "%Y%m%d%H%M"},
    ),
    "a bank's statement": Layout(
        "Account No,DATE,TRANSACTION DETAILS,DEPOSIT AMT,BALANCE AMT\n",
        lambda i, u, t: f'{409000 + u}\',{t:%d-%b-%y},TRF,{i % 90}.00,"1,000.00"\n',
        {"user_id": "Account No", "ts": "DATE", "amount": "DEPOSIT AMT"},
        {"time_format": "%d-%b-%y"},
    ),
    "date and clock apart": Layout(
        '"Date","Time","Name","Gross","Fee","Net","From Email Address","To Email Address"\n',
        lambda i, u, t: (
            f'"{t:%d/%m/%Y}","{t:%H:%M:%S}","N","{i % 9},000.50","-0.35","1","u{u}@x.de","me@x"\n'
        ),
        {"user_id": "From Email Address", "ts": "Date", "clock": "Time", "amount": "Gross"},
        {"time_format": "%d/%m/%Y"},
    ),
    "German of Windows": Layout(
        "Kd.-Nr.;Beleg-Nr.;Belegdatum;Uhrzeit;Artikel;Menge;Umsatz (€)\n",
        lambda i, u, t: f"{u};{i};{t:%d.%m.%Y};{t:%H:%M};Müsli;2;1.{i % 900:03d},50\n",
        {
            "user_id": "Kd.-Nr.",
            "ts": "Belegdatum",
            "clock": "Uhrzeit",
            "amount": "Umsatz (€)",
            "event_id": "Beleg-Nr.",
        },
        {"encoding": "windows-1252", "decimal": ","},
        said="do names read well?",
        encoding="windows-1252",
    ),
    "UTF-16 with tabs": Layout(
        "User ID\tEvent Date\tEvent\n",
        lambda i, u, t: f"ü{u}\t{t:%Y-%m-%d %H:%M:%S}\t{'open' if i % 3 else 'see'}\n",
        {"user_id": "User ID", "ts": "Event Date", "event": "Event"},
        {"delimiter": "\t", "encoding": None},
        encoding="utf-16",
    ),
    "two colons": Layout(
        "",
        lambda i, u, t: f"{u}::{i % 900 + 1}::{i % 5}::{int(t.timestamp())}\n",
        {"user_id": "column_1", "ts": "column_4"},
        {"delimiter": "::", "header": False},
        name="ratings.dat",
    ),
    "nested analytics": Layout(
        "",
        _json(
            lambda i, u, t: {
                "event": "Purchase" if i % 9 == 0 else "Play",
                "properties": {
                    "time": int(t.timestamp()),
                    "distinct_id": f"u-{u}",
                    "$insert_id": f"i{i}",
                    "$os": "ios" if u % 2 else "web",
                    "price": i % 90,
                },
            }
        ),
        {
            "user_id": "properties.distinct_id",
            "ts": "properties.time",
            "event": "event",
            "amount": "properties.price",
            "event_id": "properties.$insert_id",
        },
        {"unnest": ("properties",), "time_format": "epoch_s"},
        name="log.jsonl",
    ),
    "an object for the user": Layout(
        "",
        _json(
            lambda i, u, t: {
                "id": str(i),
                "type": "PushEvent" if i % 2 else "WatchEvent",
                "actor": {"id": u, "login": f"dev{u}"},
                "repo": {"id": i % 9, "name": "a/b"},
                "payload": {"size": i % 3},
                "created_at": f"{t:%Y-%m-%dT%H:%M:%SZ}",
            }
        ),
        {"user_id": "actor.id", "ts": "created_at", "event": "type", "event_id": "id"},
        {"unnest": ("actor", "repo", "payload")},
        name="log.json",
    ),
    "a user column that nobody filled": Layout(
        "",
        _json(
            lambda i, u, t: {
                "event_params": {"key": 1},
                "event_timestamp": str(int(t.timestamp() * 1_000_000)),
                "event_name": "view" if i % 3 else "buy",
                "user_id": None,
                "user_pseudo_id": f"{10**9 + u}.{16 * 10**8 + u}",
                "user_ltv": {"revenue": 1.5},
                "event_value_in_usd": i % 7,
            }
        ),
        {
            "user_id": "user_pseudo_id",
            "ts": "event_timestamp",
            "event": "event_name",
            "amount": "event_value_in_usd",
        },
        {"unnest": ("event_params", "user_ltv"), "time_format": "epoch_us"},
        name="log.json",
    ),
    "many ids, times and names": Layout(
        "",
        _json(
            lambda i, u, t: {
                "amplitude_id": 7,
                "client_event_time": f"{t:%Y-%m-%d %H:%M:%S}",
                "country": "Germany",
                "event_properties": {"price": 9},
                "event_time": f"{t:%Y-%m-%d %H:%M:%S}",
                "event_type": "play" if i % 3 else "share",
                "server_received_time": f"{t:%Y-%m-%d %H:%M:%S}",
                "user_id": f"u{u}" if u > 10 else None,
            }
        ),
        {"user_id": "user_id", "ts": "event_time", "event": "event_type", "quantity": None},
        name="log.json",
        quarantined=sum(u <= 10 for u, _ in LOG),
        users=110,
    ),
    "an order's total and its parts": Layout(
        "Name,Email,Discount Amount,Shipping,Created at,Lineitem price,Total\n",
        lambda i, u, t: f"#{i},u{u}@x.de,0.5,5,{t:%Y-%m-%d %H:%M:%S} -0400,9,{i % 90}.25\n",
        {"user_id": "Email", "ts": "Created at", "amount": "Total"},
        said='amount = "Total" # or "Lineitem price", "Discount Amount"?',
    ),
    "ids that look like times": Layout(
        "channel,fullVisitorId,visitStartTime\n",
        lambda i, u, t: f"web,{1131660440785968503 + u * 10**12},{int(t.timestamp())}\n",
        {"user_id": "fullVisitorId", "ts": "visitStartTime"},
        {"time_format": "epoch_s"},
    ),
    "names in one word": Layout(
        "id,chain,date,purchasequantity,purchaseamount\n",
        lambda i, u, t: f"{u},{i % 3},{t:%Y-%m-%d},2,{i % 90}.5\n",
        {"user_id": "id", "ts": "date", "amount": "purchaseamount"},
    ),
    "calls": Layout(
        "CALLING_NUMBER|CALLED_NUMBER|START_TIME|DURATION\n",
        lambda i, u, t: f"{u:08d}|{10**7 + i}|{t:%d-%m-%Y %H:%M:%S}|{i % 900}\n",
        {"user_id": "CALLING_NUMBER", "ts": "START_TIME", "event_id": None},
    ),
    "places": Layout(
        "",
        lambda i, u, t: f"{u}\t{t:%Y-%m-%dT%H:%M:%SZ}\t30.{i:010d}\t-97.{i:010d}\t{i % 99}\n",
        {"user_id": "column_1", "ts": "column_2", "amount": None},
        name="checkins.txt",
    ),
    "most by name": Layout(
        "",
        _json(
            lambda i, u, t: (
                {"username": f"Gamer {u}", "date": f"{t:%Y-%m-%d}"}
                | ({"user_id": u} if u % 3 == 0 else {})
            )
        ),
        {"user_id": "username", "ts": "date"},
        name="reviews.json",
    ),
}


def _proposed(folder: Path, *files: Path) -> tuple[Settings, str]:
    target = folder / "holdfast.toml"
    target.write_text(propose(list(files), target), encoding="utf-8")
    return load_settings(target), target.read_text(encoding="utf-8")


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_public_layout_works_at_once(tmp_path: Path, layout: Layout) -> None:
    text = layout.head + "".join(layout.row(i, u, t) for i, (u, t) in enumerate(LOG))
    settings, shown = _proposed(tmp_path, put(tmp_path, layout.name, text.encode(layout.encoding)))
    source = settings.source[0]
    columns = source.columns.model_dump()
    assert {name: columns[name] for name in layout.columns} == layout.columns
    assert {name: getattr(source, name) for name in layout.source} == layout.source
    assert layout.said in shown
    result = ingest(settings)
    assert (result.rows_read, result.quarantined) == (len(LOG), layout.quarantined)
    assert result.users == layout.users
    store = open_store(settings)
    assert abs((store.covered_until - store.first).days - DAYS) <= 2


def test_the_files_of_a_source_decide_between_day_and_month_together(tmp_path: Path) -> None:
    """The first day's file alone reads both ways."""
    days: dict[str, list[str]] = {}
    for u, t in LOG:
        days.setdefault(f"{t:%Y%m%d}", []).append(f"u{u};{t:%m-%d-%Y %H:%M}\n")
    for name in sorted(days)[:20]:
        put(tmp_path, f"cdr_{name}.csv", "caller;start_time\n" + "".join(days[name]))
    settings, shown = _proposed(tmp_path, *sorted(tmp_path.iterdir()))
    assert settings.source[0].time_format == "%m-%d-%Y %H:%M"
    assert "OTHER WAY ROUND" not in shown
    assert ingest(settings).quarantined == 0


def test_a_table_of_films_is_no_table_of_users(tmp_path: Path) -> None:
    rows = "".join(f"{u},{i % 300 + 1},{int(t.timestamp())}\n" for i, (u, t) in enumerate(LOG))
    log = put(tmp_path, "ratings.csv", "userId,movieId,timestamp\n" + rows)
    films = "".join(f'{i},"a ""b""\nc",Drama\n' for i in range(1, 400))
    settings, shown = _proposed(tmp_path, log, put(tmp_path, "movies.csv", "movieId,t,g\n" + films))
    assert settings.users is None
    assert "# Left out: movies.csv: no column of it looks like the time" in shown


def test_lines_of_json_with_other_fields_are_one_source(tmp_path: Path) -> None:
    def lines(part: int) -> Iterator[str]:
        for i, (u, t) in enumerate(LOG):
            if i % 2 == part:
                more = {"org": {"id": 1}} if part else {}
                yield json.dumps({"actor": {"id": u}, "created_at": t.isoformat()} | more)

    for part in range(2):
        packed = gzip.compress("\n".join(lines(part)).encode())
        put(tmp_path, f"2023-01-0{part + 1}.json.gz", packed)
    settings, _ = _proposed(tmp_path, *sorted(tmp_path.iterdir()))
    assert [source.path for source in settings.source] == ["*.json.gz"]
    assert ingest(settings).rows_added == len(LOG)


def test_files_of_days_are_one_source_though_few_have_an_amount(tmp_path: Path) -> None:
    """Looked at file by file, those with a purchase would be another source than those without;
    the first and the last day have none."""
    days: dict[str, list[str]] = {f"{START + timedelta(days=d):%Y-%m-%d}": [] for d in range(60)}
    for i, (u, t) in enumerate(LOG):
        if (day := f"{t:%Y-%m-%d}") in days:
            params = {"price": 4.99} if t.day == 15 else {"level": i}
            line = {"user_id": u, "event_time": t.isoformat(), "event_name": f"e{i % 4}"}
            days[day].append(json.dumps(line | {"params": params}) + "\n")
    for day, lines in days.items():
        put(tmp_path, f"export/date={day}/events.ndjson", "".join(lines))
    settings, _ = _proposed(tmp_path, tmp_path / "export")
    (source,) = settings.source
    assert (source.path, source.unnest) == ("export/*/*.ndjson", ("params",))
    assert source.columns.amount == "params.price"
    assert ingest(settings).rows_added == sum(map(len, days.values()))


def test_of_many_files_of_one_kind_some_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(propose_files, "HEAD_ROWS", 20)
    for n in range(100):
        put(tmp_path, f"part-{n}.ndjson", json.dumps({"user_id": n, "at": "2024-01-01"}) + "\n")
    (paths,) = propose_files.alike([tmp_path / f"part-{n}.ndjson" for n in range(100)])
    look = look_at(paths[0], more=paths[1:])
    assert (look.rows, look.whole, len(look.paths)) == (20, False, 100)
    places = [int(place) for place in look.column("user_id").text]
    assert places == sorted(places)
    assert max(b - a for a, b in zip([0, *places], [*places, 99], strict=True)) < 12


REFUSED = {
    "no time": ("user_id,order_number,order_dow\n" + "7,3,2\n" * 9, ("time of an event", "'7'")),
    "days of the month": (
        "user_id,day\n" + "".join(f"{i % 7},{i % 31 + 1}\n" for i in range(99)),
        ("time of an event", "'day' 1"),
    ),
    "nobody": (
        "time,temperature\n" + "".join(f"2024-03-{d:02d},1.5\n" for d in range(1, 20)),
        ("looks like a user id", "'temperature' 1.5"),
    ),
    "a title first": ("Report\nof March\n\nuser;at\na;2024-03-01\n", ("'Report'", "header")),
    "no JSON": ('{\n "events": [\n', ("log.x", "line 1", "not JSON")),
    "neither encoding": (b"user,at\n\x81\xfe,2024-03-01\n", ("line 2", "not UTF-8")),
}


@pytest.mark.parametrize(("content", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_missing_is_named_with_what_was_found(
    tmp_path: Path, content: str | bytes, words: tuple[str, ...]
) -> None:
    with pytest.raises(InputError) as caught:
        propose([put(tmp_path, "log.x", content)], tmp_path / "holdfast.toml")
    assert "\n" not in str(caught.value)
    for word in words:
        assert word.replace("'7'", "'user_id' 7") in str(caught.value)


def test_of_several_files_the_one_most_like_a_log_is_told(tmp_path: Path) -> None:
    aisles = put(tmp_path, "aisles.csv", "aisle_id,aisle\n" + "1,a\n2,b\n")
    orders = put(tmp_path, "orders.csv", "user_id,order_number\n" + "7,3\n8,4\n")
    with pytest.raises(InputError, match=r"orders\.csv: .*'user_id' 7"):
        propose([aisles, orders], tmp_path / "holdfast.toml")


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(("levels", "found"), [(3, True), (4, False)])
def test_objects_are_opened_three_levels_deep(
    tmp_path: Path, levels: int, found: bool, wide: bool
) -> None:
    def line(user: int, at: datetime) -> str:
        value: dict[str, object] = {"total": 2.5}
        for level in range(levels - 1, 0, -1):
            value = {f"in{level}": value}
        more = {"data": value, "app": {"os": {"name": "ios"}, "b": {"c": 1}}}
        more |= {"all": {f"f{k}": k for k in range(70)}} if wide else {}
        return json.dumps({"user": {"id": user}, "at": at.isoformat()} | more)

    log = put(tmp_path, "log.ndjson", "\n".join(line(u, t) for u, t in LOG))
    settings, _ = _proposed(tmp_path, log)
    (source,) = settings.source
    assert source.columns.user_id == "user.id"
    assert source.columns.amount == ("data.in1.in2.total" if found else None)
    needed = {"user", "data", "data.in1", "data.in1.in2"} if found else {"user"}
    every = {"user", "data", "data.in1", "data.in1.in2", "app", "app.os", "app.b"}
    assert set(source.unnest) == (needed if wide else every)
    assert ingest(settings).rows_added == len(LOG)


def test_the_id_of_rows_that_came_twice_is_one(tmp_path: Path) -> None:
    rows = [f"{i},{u},{t:%Y-%m-%d},{i % 90}.5\n" for i, (u, t) in enumerate(LOG)]
    text = "trans_id,account_id,date,amount\n" + "".join(rows) + "".join(rows[::30])
    settings, _ = _proposed(tmp_path, put(tmp_path, "log.csv", text.encode()))
    assert settings.source[0].columns.event_id == "trans_id"
    assert settings.events.deduplicate == "event_id"
    assert ingest(settings).duplicates == len(rows[::30])


def test_a_title_above_the_header_is_no_header(tmp_path: Path) -> None:
    rows = "".join(f"{u},{t:%Y-%m-%d},x,{i % 90}.5\n" for i, (u, t) in enumerate(LOG))
    text = "Sales, all shops\ncustomer,date,shop,amount\n" + rows
    with pytest.raises(InputError, match="4 fields where 2 are expected"):
        _proposed(tmp_path, put(tmp_path, "log.csv", text.encode()))
