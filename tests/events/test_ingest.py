"""Sources to the store: exact, once, and the same whatever the order and the batches."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest_tools import HEAD, ingested, put, settings_in, table

from events import adding, csv_reader, staging
from events.ingest import ingest
from events.staging import bucket_of
from runtime.errors import HoldfastError, InputError, SchemaError, StoreError
from runtime.settings import parse_settings

ROWS = [
    "1,007,2024-03-01 10:00:00,view,\n",
    "2,10329302124590727494,2024-03-01 11:00:00,buy,9.99\n",
    "3,007,2024-03-02 09:30:00,buy,20\n",
    '4,"O\'Neil, ""J""",2024-03-02 10:00:00,view,\n',
    "5,é 漢,2024-03-04 00:00:00,view,0\n",
]


def test_a_row_of_the_log_is_what_the_file_says(tmp_path: Path) -> None:
    result, events = ingested(tmp_path, HEAD + "".join(ROWS), timezone="Europe/Berlin")
    assert (result.rows_read, result.rows_added, result.users, result.version) == (5, 5, 4, 0)
    assert events.drop("bucket").row(0, named=True) == {
        "user_id": "007",
        "ts": datetime(2024, 3, 1, 9, 0, tzinfo=UTC),
        "event": "view",
        "amount": None,
        "channel": None,
        "event_id": "1",
        "source": "log",
        "properties": None,
        "received": None,
    }
    assert set(events["user_id"]) == {"007", "10329302124590727494", 'O\'Neil, "J"', "é 漢"}


PIECES = {"user_id": "who", "ts": "ts", "amount": "price", "quantity": "pieces"}


def test_a_price_of_one_piece_is_paid_for_each(tmp_path: Path) -> None:
    """What is not known, of price or pieces, makes an amount that is not known; pieces stay."""
    rows = ["2.5,6", "2.5,-2", "2.5,", ",6", "0,7", "-0.0,3", '"1,200.50",2']
    content = "who,ts,price,pieces\n" + "".join(
        f"u{n},2024-03-0{n + 1},{row}\n" for n, row in enumerate(rows)
    )
    result, events = ingested(tmp_path, content, columns=PIECES)
    assert result.quarantined == 0
    assert events["amount"].to_list() == [15.0, -5.0, None, None, 0.0, 0.0, 2401.0]
    assert [str(amount) for amount in events["amount"][4:6]] == ["0.0", "0.0"]
    assert [json.loads(p or "{}").get("pieces") for p in events["properties"]] == [
        "6",
        "-2",
        None,
        "6",
        "7",
        "3",
        "2",
    ]


@given(price=st.floats(-1e9, 1e9), pieces=st.integers(-(10**6), 10**6))
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_pieces_of_a_typed_file_are_multiplied(price: float, pieces: int) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        rows = {"who": ["u"], "ts": [datetime(2024, 3, 1)], "price": [price], "pieces": [pieces]}
        pl.DataFrame(rows).write_parquet(folder / "log.parquet")
        ingest(settings_in(folder, path="*.parquet", columns=PIECES))
        assert table(folder)["amount"].to_list() == [price * pieces]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2.5,six", "quantity 'six' in 'pieces' is not a number"),
        ("2.5,inf", "quantity 'inf' in 'pieces' is not finite"),
        ("cheap,six", "quantity 'six' in 'pieces' is not a number"),
        ("cheap,6", "amount 'cheap' in 'price' is not a number"),
        ("cheap,", "amount 'cheap' in 'price' is not a number"),
        ("1e200,1e200", "'price' times 'pieces' is not finite"),
    ],
)
def test_pieces_that_cannot_be_read_are_named(tmp_path: Path, row: str, reason: str) -> None:
    content = f"who,ts,price,pieces\nu,2024-03-01,1,1\nu,2024-03-02,{row}\n"
    result, _ = ingested(tmp_path, content, columns=PIECES)
    assert result.quarantined == 1
    assert table(tmp_path, "quarantine")["reason"].to_list() == [reason]


def test_pieces_of_nothing_are_refused(tmp_path: Path) -> None:
    columns = {name: column for name, column in PIECES.items() if name != "amount"}
    with pytest.raises(HoldfastError, match="quantity is given without amount"):
        settings_in(tmp_path, columns=columns)
    content = "who,ts,price,number\nu,2024-03-01,1,1\n"
    with pytest.raises(SchemaError, match="'pieces'"):
        ingested(tmp_path, content, columns=PIECES)


def test_again_adds_nothing_and_new_files_only_theirs(tmp_path: Path) -> None:
    _, before = ingested(tmp_path, HEAD + "".join(ROWS[:3]))
    again = ingest(settings_in(tmp_path))
    assert (again.rows_read, again.files_added, again.files_skipped) == (0, 0, 1)
    assert again.version == 0
    put(tmp_path, "more.csv", HEAD + "".join(ROWS[2:]))
    more = ingest(settings_in(tmp_path))
    assert (more.rows_read, more.rows_added, more.duplicates) == (3, 2, 1)
    assert (more.files_added, more.files_skipped, more.version) == (1, 1, 1)
    after = table(tmp_path)
    assert after.join(before, on=after.columns, how="semi", nulls_equal=True).height == 3
    (tmp_path / "more.csv").rename(tmp_path / "renamed.csv")
    assert ingest(settings_in(tmp_path)).files_skipped == 2


def test_a_changed_file_adds_its_new_rows_or_is_refused(tmp_path: Path) -> None:
    ingested(tmp_path, HEAD + "".join(ROWS[:2]))
    result, events = ingested(tmp_path, HEAD + "".join(ROWS))
    assert (result.rows_added, result.duplicates, events.height) == (3, 2, 5)
    put(tmp_path, "log.csv", HEAD + "".join(ROWS) + ROWS[0])
    with pytest.raises(InputError, match=r'log.csv: has changed .* "none"'):
        ingest(settings_in(tmp_path, events={"deduplicate": "none"}))
    assert table(tmp_path).height == 5


@pytest.mark.parametrize(("mode", "added"), [("event_id", 3), ("row", 4), ("none", 5)])
def test_what_counts_as_a_duplicate(tmp_path: Path, mode: str, added: int) -> None:
    rows = [ROWS[0], ROWS[0], ROWS[0].replace("view", "buy"), ROWS[1], ROWS[2]]
    result, _ = ingested(tmp_path, HEAD + "".join(rows), events={"deduplicate": mode})
    assert (result.rows_added, result.duplicates) == (added, 5 - added)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_neither_files_nor_batches_nor_order_matter(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    rows = [*ROWS, "6,,2024-03-01 10:00:00,view,\n", "7,007,x,view,\n", *ROWS[:2]]
    folder = tmp_path_factory.mktemp("whole")
    _, expected = ingested(folder, HEAD + "".join(rows), events={"deduplicate": "row"})
    shuffled = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(1, len(rows) - 1))
    other = tmp_path_factory.mktemp("cut")
    put(other, "b.csv", HEAD + "".join(shuffled[:cut]))
    put(other, "a.csv", HEAD + "".join(shuffled[cut:]))
    monkeypatch.setattr(csv_reader.read_csv, "__defaults__", (data.draw(st.integers(16, 400)),))
    monkeypatch.setattr(staging, "FLUSH_ROWS", data.draw(st.integers(1, 9)))
    monkeypatch.setattr(adding, "GROUP_ROWS", data.draw(st.integers(1, 9)))
    try:
        ingest(settings_in(other, events={"deduplicate": "row"}))
    except InputError as error:  # a file of bad rows alone is refused, and said so
        assert "none of its" in str(error)  # noqa: PT017
        return
    finally:
        monkeypatch.undo()
    assert table(other).equals(expected.sort(expected.columns))
    held = table(other, "quarantine")
    assert held.height == 2


def test_formats_mean_the_same_log(tmp_path: Path) -> None:
    _, expected = ingested(tmp_path / "csv", HEAD + "".join(ROWS))
    frame = pl.read_csv((HEAD + "".join(ROWS)).encode(), infer_schema=False)
    typed = frame.with_columns(
        pl.col("id").cast(pl.UInt64),
        pl.col("ts").str.to_datetime(time_unit="ns"),
        pl.col("paid").cast(pl.Float64),
    )
    (tmp_path / "parquet").mkdir()
    typed.write_parquet(tmp_path / "parquet" / "log.parquet")
    ingest(settings_in(tmp_path / "parquet", path="log.parquet"))
    lines = [{k: v for k, v in row.items() if v is not None} for row in frame.to_dicts()]
    lines[1]["user"] = 10329302124590727494
    put(tmp_path / "json", "log.ndjson", "\n".join(json.dumps(line) for line in lines))
    ingest(settings_in(tmp_path / "json", path="*.ndjson"))
    assert table(tmp_path / "parquet").equals(expected.sort(expected.columns))
    assert table(tmp_path / "json").equals(expected.sort(expected.columns))


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (pl.Date(), "2024-07-01T22:00:00Z"),
        (pl.Datetime("ms"), "2024-07-02T08:30:00Z"),
        (pl.Datetime("ns", "UTC"), "2024-07-02T10:30:00Z"),
        (pl.Datetime("us", "America/New_York"), "2024-07-02T10:30:00Z"),
        (pl.Int64(), "2024-07-02T10:30:00Z"),
        (pl.Float64(), "2024-07-02T10:30:00Z"),
    ],
)
def test_parquet_times_of_any_type(tmp_path: Path, dtype: pl.DataType, expected: str) -> None:
    moment = pl.Series("ts", [datetime(2024, 7, 2, 10, 30, tzinfo=UTC)])
    if dtype.is_numeric():
        values = moment.dt.epoch("s").cast(dtype)
    elif isinstance(dtype, pl.Datetime) and dtype.time_zone:
        values = moment.dt.convert_time_zone(dtype.time_zone).cast(dtype)
    else:
        values = moment.dt.replace_time_zone(None).cast(dtype)
    pl.DataFrame(
        {"user": [2**64 - 1], "ts": values}, schema_overrides={"user": pl.UInt64}
    ).write_parquet(tmp_path / "log.parquet")
    columns = {"user_id": "user", "ts": "ts"}
    ingest(settings_in(tmp_path, path="log.parquet", columns=columns, timezone="Europe/Berlin"))
    row = table(tmp_path).row(0, named=True)
    assert row["user_id"] == "18446744073709551615"
    assert row["ts"] == datetime.fromisoformat(expected)


def test_columns_constants_and_properties(tmp_path: Path) -> None:
    text = "who;wann;Betrag;b;a\nx;31.12.2023 23:59;1.234,50;NULL;z\ny;01.01.2024 00:00;;q;\n"
    _, events = ingested(
        tmp_path,
        text,
        columns={"user_id": "who", "ts": "wann", "amount": "Betrag"},
        constants={"event": "order", "channel": "shop"},
        null_values=["", "NULL"],
        decimal=",",
    )
    assert events["amount"].to_list() == [1234.5, None]
    assert events["event"].to_list() == ["order", "order"]
    assert events["channel"].to_list() == ["shop", "shop"]
    assert events["properties"].to_list() == ['{"a":"z"}', '{"b":"q"}']


def test_buckets_are_fixed_by_the_store(tmp_path: Path) -> None:
    _, events = ingested(tmp_path, HEAD + "".join(ROWS))
    hashed = events.select("user_id", "bucket").with_columns(bucket_of(3).alias("again"))
    assert hashed["bucket"].equals(hashed["again"].alias("bucket"))
    with pytest.raises(
        StoreError, match=r"has 3 buckets, the settings ask for 4; leave .* optimize --buckets 4"
    ):
        ingest(settings_in(tmp_path, events={"buckets": 4}))


def test_a_time_format_once_found_holds_for_later_files(tmp_path: Path) -> None:
    put(tmp_path, "a.csv", HEAD + "1,u,13/02/2024,view,\n")
    ingest(settings_in(tmp_path))
    put(tmp_path, "b.csv", HEAD + "2,u,03/02/2024,view,\n")
    ingest(settings_in(tmp_path))
    assert table(tmp_path).sort("ts")["ts"].dt.month().to_list() == [2, 2]


def test_a_misspelt_column_is_named_with_a_hint(tmp_path: Path) -> None:
    put(tmp_path, "log.csv", HEAD + ROWS[0])
    with pytest.raises(SchemaError) as caught:
        ingest(settings_in(tmp_path, columns={"user_id": "usr", "ts": "ts"}))
    assert str(caught.value) == (
        "source log, log.csv: no column 'usr'; did you mean 'user'?; found 'id', 'user', 'ts', "
        "'what', 'paid'; map it under [source.columns]"
    )


def test_sources_with_columns_of_their_own_make_one_log(tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "user,ts,paid,shop\nu,2024-03-01,1.5,web\nv,2024-03-02,,\n")
    put(tmp_path, "b.csv", "user,ts,what,extra\nu,2024-03-01,view,x\nw,2024-03-03,buy,\n")
    put(tmp_path, "c.csv", "user,ts\nu,2024-03-01\n")
    named = {"user_id": "user", "ts": "ts"}
    sources = [
        {"name": "a", "path": "a.csv", "columns": named | {"amount": "paid", "channel": "shop"}},
        {"name": "b", "path": "b.csv", "columns": named | {"event": "what"}},
        {"name": "c", "path": "c.csv", "columns": named, "constants": {"amount": 2.5}},
    ]
    sources[1]["constants"] = {"channel": "app"}
    ingest(parse_settings({"source": sources, "events": {"buckets": 2}}, tmp_path))
    day = [datetime(2024, 3, n, tzinfo=UTC) for n in range(4) if n]
    assert sorted(table(tmp_path).drop("bucket", "event_id", "received").rows(), key=str) == [
        ("u", day[0], "a", 1.5, "web", "a", None),
        ("u", day[0], "c", 2.5, None, "c", None),
        ("u", day[0], "view", None, "app", "b", '{"extra":"x"}'),
        ("v", day[1], "a", None, None, "a", None),
        ("w", day[2], "buy", None, "app", "b", None),
    ]


def test_a_negative_nothing_is_nothing(tmp_path: Path) -> None:
    rows = [f"1,u,2024-03-01 10:00:00,buy,{zero}\n" for zero in ("-0", "0", "0.0")]
    result, events = ingested(tmp_path, HEAD + "".join(rows))
    assert (result.rows_added, str(events["amount"][0])) == (1, "0.0")
