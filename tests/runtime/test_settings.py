from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime.errors import SettingsError
from runtime.settings import load_settings, parse_settings

SOURCE = {"name": "log", "path": "log.csv", "columns": {"user_id": "u", "ts": "t"}}


def _raw(**sections: Any) -> dict[str, Any]:
    return {"source": [SOURCE], **sections}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (
            _raw(features={"deadlines": "paid_until"}),
            ("features.deadlines", 'write deadlines = ["paid_until"]'),
        ),
        (_raw(features={"deadlines": 3}), ("is a list; write deadlines = [...] (found 3)",)),
        (_raw(chrun={}), ("'chrun'", "did you mean 'churn'", "activity")),
        (_raw(churn={"horizon": 3}), ("'churn.horizon'", "horizon_days")),
        (
            {"source": [{**SOURCE, "columns": {"user_id": "u", "ts": "t", "evnt": "e"}}]},
            ("'source.0.columns.evnt'", "did you mean 'event'", "amount"),
        ),
        (_raw(churn={"horizon_days": 0}), ("churn.horizon_days", "found 0")),
        (
            _raw(users={"path": "u", "columns": {"user_id": "u"}, "attributes": ["Age", "age"]}),
            ("users", "same but for case"),
        ),
        (_raw(churn={"kind": "active"}), ("needs 'events' or 'date_column'",)),
        (_raw(churn={"kind": "lapse", "events": ["pay"]}), ("'period_days'",)),
        (_raw(project={"timezone": "Berlin"}), ("project.timezone", "'Berlin'", "Europe/Berlin")),
        (_raw(project={"name": "../x"}), ("project.name",)),
        ({}, ("'source' is missing",)),
        ({"source": []}, ("source",)),
        ({"source": [SOURCE, SOURCE]}, ("share a name", "log")),
        (
            _raw(churn={"kind": "active", "date_column": "left"}),
            ("'left'", "users.dates"),
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(
    raw: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings(raw, Path())
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        (b"[churn\nx", "is not TOML"),
        (b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "holdfast.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=words) as caught:
        load_settings(path)
    assert str(path) in str(caught.value)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = parse_settings(_raw(project={"store": "../s", "exports": "/e"}), tmp_path)
    assert settings.store == tmp_path / "../s"
    assert settings.exports == Path("/e")


def test_the_value_horizon_follows_the_churn_horizon() -> None:
    assert parse_settings(_raw(churn={"horizon_days": 9}), Path()).value_horizon_days == 9
    both = _raw(churn={"horizon_days": 9}, value={"horizon_days": 4})
    assert parse_settings(both, Path()).value_horizon_days == 4


def test_settings_are_frozen() -> None:
    settings = parse_settings(_raw(), Path())
    with pytest.raises(ValueError, match="frozen"):
        settings.churn.horizon_days = 3  # type: ignore[misc]


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "examples").glob("*.toml")))
def test_every_example_is_a_valid_configuration(path: Path) -> None:
    settings = load_settings(path)
    assert settings.project.name == path.stem


def test_a_path_below_a_file_is_no_settings(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"file/holdfast\.toml: no such file"):
        load_settings(tmp_path / "file" / "holdfast.toml")
