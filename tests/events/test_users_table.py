"""The users table: typed, replaced whole, refused where an id is empty or doubled."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ingest_tools import HEAD, put, settings_in, table

from events.ingest import ingest
from events.users import scan_users
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import InputError, SchemaError

CPU = Device("cpu", "test")
USERS: dict[str, Any] = {
    "path": "known/users.csv",
    "columns": {"user_id": "id"},
    "attributes": ["age", "plan"],
    "dates": ["left"],
    "null_values": ["", "0000-00-00"],
    "timezone": "Europe/Berlin",
}
TABLE = "id,age,plan,left,name\n007,40,surf,0000-00-00,A\n8,,ultimate,2024-03-05,B\n"


def _ingest(folder: Path, users: str, **changes: Any) -> None:
    put(folder, "log.csv", HEAD + "1,007,2024-03-01 10:00:00,view,\n")
    put(folder, "known/users.csv", users)
    ingest(settings_in(folder, users=USERS | changes))


def test_attributes_are_numbers_or_text_and_dates_instants(tmp_path: Path) -> None:
    _ingest(tmp_path, TABLE)
    settings = settings_in(tmp_path, users=USERS)
    plan = scan_users(settings)
    assert plan is not None
    assert collect(plan.sort("user_id"), CPU).rows() == [
        ("007", 40.0, "surf", None),
        ("8", None, "ultimate", datetime(2024, 3, 4, 23, tzinfo=UTC)),
    ]
    parts = [scan_users(settings, bucket) for bucket in range(3)]
    assert sum(collect(part, CPU).height for part in parts if part is not None) == 2


def test_the_table_is_replaced_when_its_file_changes(tmp_path: Path) -> None:
    _ingest(tmp_path, TABLE)
    _ingest(tmp_path, TABLE.replace("40", "forty"))
    assert table(tmp_path, "users")["age"].to_list() == ["forty", None]
    _ingest(tmp_path, TABLE)
    assert table(tmp_path, "users")["age"].to_list() == [40.0, None]


@pytest.mark.parametrize(
    ("users", "error", "words"),
    [
        (TABLE + "8,1,x,,C\n", InputError, "user id '8' occurs more than once"),
        (TABLE + ",1,x,,C\n", InputError, "no user id in 1 row;"),
        (TABLE + "9,1,x,soon,C\n", InputError, "unreadable time 'soon'"),
        (TABLE + "9,1\n", InputError, "line 4: 2 fields where 5"),
        ("id,age,plan\n1,2,3\n", SchemaError, "no column 'left'"),
        ("id,age,plan,left\n", InputError, "holds no row"),
        ("", InputError, "is empty"),
    ],
)
def test_a_bad_table_is_refused_and_nothing_is_stored(
    tmp_path: Path, users: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        _ingest(tmp_path, users)
    assert table(tmp_path).is_empty()
    assert table(tmp_path, "users").is_empty()


def test_without_a_users_section_there_are_none(tmp_path: Path) -> None:
    assert scan_users(settings_in(tmp_path)) is None
