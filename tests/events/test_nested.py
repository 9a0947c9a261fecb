"""Objects in a column become columns of their own, whatever the format of the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from ingest_tools import put, settings_in, table

from events.ingest import ingest
from runtime.errors import HoldfastError

ROWS: list[dict[str, Any]] = [
    {"what": "buy", "p": {"id": 2**64 - 1, "at": "2024-03-01", "paid": 2.5, "in": {"x": "1\n2"}}},
    {"what": "see", "p": {"id": 7, "at": "2024-03-02", "$os": "ios"}},
]
COLUMNS = {"user_id": "p.id", "ts": "p.at", "event": "what", "amount": "p.paid"}


def _ndjson(folder: Path) -> None:
    put(folder, "log.ndjson", "\n".join(json.dumps(row) for row in ROWS))


def _csv(folder: Path) -> None:
    lines = (json.dumps(row["p"]).replace('"', '""') for row in ROWS)
    kinds = (row["what"] for row in ROWS)
    rows = (f'{kind},"{line}"\n' for kind, line in zip(kinds, lines, strict=True))
    put(folder, "log.csv", "what,p\n" + "".join(rows))


def _parquet(folder: Path) -> None:
    fields = {"id": pl.UInt64, "at": pl.String, "paid": pl.Float64, "$os": pl.String}
    schema = {"what": pl.String(), "p": pl.Struct(fields | {"in": pl.Struct({"x": pl.String})})}
    pl.DataFrame(ROWS, schema=schema).write_parquet(folder / "log.parquet")


@pytest.mark.parametrize("write", [_ndjson, _csv, _parquet])
def test_fields_are_mapped_and_kept_as_columns_are(tmp_path: Path, write: Any) -> None:
    write(tmp_path)
    ingest(settings_in(tmp_path, path="log.*", columns=COLUMNS, unnest=["p", "p.in"]))
    events = table(tmp_path).sort("ts")
    assert events["user_id"].to_list() == [str(2**64 - 1), "7"]
    assert events["amount"].to_list() == [2.5, None]
    kept = [json.loads(text) for text in events["properties"]]
    assert kept == [{"p.in.x": "1\n2"}, {"p.$os": "ios"}]


def test_what_is_no_object_stays_and_costs_only_its_row(tmp_path: Path) -> None:
    odd = [{"what": "odd", "p": "{no json"}, {"what": "odd", "p": [1]}, {"what": "odd"}]
    put(tmp_path, "log.ndjson", "\n".join(json.dumps(row) for row in [*ROWS, *odd]))
    result = ingest(settings_in(tmp_path, path="log.*", columns=COLUMNS, unnest=["p"]))
    assert (result.rows_added, result.quarantined) == (2, 3)
    raws = [json.loads(raw) for raw in table(tmp_path, "quarantine").sort("line")["raw"]]
    assert [raw.get("p") for raw in raws] == ["{no json", "[1]", None]


def test_a_field_for_a_column_that_is_there_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "log.ndjson", json.dumps(ROWS[0] | {"p.id": 1}))
    with pytest.raises(HoldfastError, match=r"'p\.id'.*leave 'p' out"):
        ingest(settings_in(tmp_path, path="log.*", columns=COLUMNS, unnest=["p"]))
