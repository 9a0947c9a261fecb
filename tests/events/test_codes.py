"""Codes read off the dictionaries of files equal codes made of the texts."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest_tools import HEAD, put, settings_in

from events.codes import scan_coded
from events.ingest import ingest
from events.store import EventStore, open_store
from runtime import parts

T = datetime(2024, 1, 1, tzinfo=UTC)
texts = st.sampled_from(["a", "b", "rare", "Ünï", "a long name of an event", ""])


def store_of(folder: Path, rows: list[dict[str, Any]], pieces: int) -> EventStore:
    """A store of one bucket whose rows come in so many ingests."""
    share = max(1, len(rows) // pieces)
    config = settings_in(
        folder,
        columns={"user_id": "user", "ts": "ts", "event": "what", "channel": "by"},
        events={"buckets": 1, "deduplicate": "none"},
    )
    for number in range(pieces):
        last = number == pieces - 1
        own = rows[number * share : None if last else (number + 1) * share]
        lines = [f"{r['user']},{r['ts']:%Y-%m-%d %H:%M:%S},{r['what']},{r['by']}\n" for r in own]
        if lines:
            put(folder, f"{number}.csv", "user,ts,what,by\n" + "".join(lines))
            ingest(config)
    return open_store(config, T + timedelta(days=40))


def as_texts_say(store: EventStore, column: str, names: list[str]) -> pl.Series:
    plan = store.scan(0).select(
        pl.when(pl.col(column).is_not_null()).then(
            pl.col(column).replace_strict(
                names, list(range(1, len(names) + 1)), default=0, return_dtype=pl.Int16
            )
            if names
            else pl.lit(0, dtype=pl.Int16)
        )
    )
    return plan.collect().to_series().alias(f"{column}_code")


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "user": st.sampled_from("uvw"),
                "ts": st.integers(0, 80).map(lambda d: T + timedelta(days=d)),
                "what": texts.filter(bool),
                "by": texts,
            }
        ),
        min_size=1,
        max_size=30,
    ),
    names=st.lists(texts, unique=True),
    pieces=st.integers(1, 3),
    group=st.integers(1, 9),
)
def test_codes_are_the_places_of_the_texts(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, Any]],
    names: list[str],
    pieces: int,
    group: int,
) -> None:
    if min(row["ts"] for row in rows) >= T + timedelta(days=40):
        rows[0]["ts"] = T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "ROW_GROUP", group)  # each with a dictionary of its own
        store = store_of(tmp_path_factory.mktemp("store"), rows, pieces)
    found = scan_coded(store, 0, {"event": names, "channel": names}).collect()
    assert found.drop("event_code", "channel_code").equals(store.scan(0).collect())
    for column in ("event", "channel"):
        expected = as_texts_say(store, column, names)
        assert found[f"{column}_code"].dtype == pl.Int16
        assert found[f"{column}_code"].to_list() == expected.to_list()


def test_a_file_whose_dictionary_grew_too_large(tmp_path: Path) -> None:
    """Parquet then goes on without one, in the middle of a column."""
    lines = [f"{i},u{i % 50},2024-01-01 00:00:00,{i:060d},1\n" for i in range(60_000)]
    put(tmp_path, "log.csv", HEAD + "".join(lines))
    config = settings_in(tmp_path, events={"buckets": 1})
    ingest(config)
    store, names = open_store(config), [f"{i:060d}" for i in range(0, 60_000, 7)]
    found = scan_coded(store, 0, {"event": names}).collect()
    assert found["event_code"].to_list() == as_texts_say(store, "event", names).to_list()
    assert found["event_code"].max() == len(names)


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    """pyarrow brings in pandas for some of its functions, which takes a fifth of a second."""
    put(tmp_path, "log.csv", f"{HEAD}1,u,2024-01-01 00:00:00,x,1\n")
    config = settings_in(tmp_path)
    ingest(config)
    code = (
        "import sys; from pathlib import Path; from ingest_tools import settings_in\n"
        "from events.codes import scan_coded; from events.store import open_store\n"
        "store = open_store(settings_in(Path(sys.argv[1])))\n"
        "print(scan_coded(store, store.buckets[0], {'event': ['x']}).collect()['event_code'][0])\n"
        "assert 'pandas' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    assert done.stdout == "1\n", done.stderr
