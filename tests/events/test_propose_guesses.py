"""What `init` takes for the user where a column is mixed, or has a few kinds in many rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from ingest_tools import put

from events.propose import propose
from runtime.errors import InputError
from runtime.settings import load_settings
from runtime.settings_sources import SourceColumns

ROWS = 3_000


def _log(folder: Path, head: str, ids: list[str]) -> Path:
    """One row an hour, of three types, with the ids in turn."""
    rows = (
        f"{ids[n % len(ids)]}\t{n % 28 + 1:02d}/{n // 28 % 12 + 1:02d}/2023"
        f"\t{('gift', 'call', 'click')[n % 3]}\t£{n % 40 + 1}.00\n"
        for n in range(ROWS)
    )
    return put(folder, "log.tsv", head + "\n" + "".join(rows))


def _columns(folder: Path, log: Path) -> SourceColumns:
    target = folder / "holdfast.toml"
    target.write_text(propose([log], target), encoding="utf-8")
    return load_settings(target).source[0].columns


MIXED = [f"{n:06d}" for n in range(200)] + ["ANON"]


def test_numbers_with_a_few_words_among_them_are_ids(tmp_path: Path) -> None:
    found = _columns(tmp_path, _log(tmp_path, "Wer\tDate\tType\tWorth", MIXED))
    assert (found.user_id, found.event, found.amount) == ("Wer", "Type", "Worth")


def test_donors_and_gifts_are_known_by_name(tmp_path: Path) -> None:
    found = _columns(tmp_path, _log(tmp_path, "Donor No.\tDate\tType\tGift", MIXED))
    assert (found.user_id, found.event, found.amount) == ("Donor No.", "Type", "Gift")


def test_a_column_of_a_few_kinds_in_many_rows_is_no_users(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="looks like a user id"):
        _columns(tmp_path, _log(tmp_path, "Price\tDate\tType\tGift", ["1.5", "2.5", "3.5"]))


def test_amounts_with_a_few_words_among_them_are_no_users(tmp_path: Path) -> None:
    prices = [f"{n}.5" for n in range(200)] + ["free"]
    with pytest.raises(InputError, match="looks like a user id"):
        _columns(tmp_path, _log(tmp_path, "Price\tDate\tType\tGift", prices))


@pytest.mark.parametrize(("end", "told"), [(".0", True), ("", False)])
def test_ids_written_as_fractions_are_told(tmp_path: Path, end: str, told: bool) -> None:
    ids = [f"{n}{end}" for n in range(12_346, 12_546)]
    log = _log(tmp_path, "Customer ID\tDate\tType\tWorth", ids)
    assert _columns(tmp_path, log).user_id == "Customer ID"
    text = (tmp_path / "holdfast.toml").read_text(encoding="utf-8")
    assert ("12346.0 is another user than 12346" in text) == told
