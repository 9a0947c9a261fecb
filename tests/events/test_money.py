"""Amounts written with their currency are read, proposed, and of one currency."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from ingest_tools import HEAD, ingested, put, settings_in, table

from events.columns import as_amount
from events.ingest import ingest
from events.propose import propose
from runtime.errors import InputError
from runtime.settings import load_settings

POINT = {
    "£30.00": 30.0,
    "-£6.00": -6.0,
    "£-6.00": -6.0,
    "$1,234.56": 1234.56,
    "US$ 5": 5.0,
    "EUR 12.50": 12.5,
    "usd12": 12.0,
    "12.50\u00a0€": 12.5,
    "7 kr": 7.0,
    "12.50": 12.5,
    "1 234.50": 1234.5,
    "1'234'567.5": 1234567.5,
    "CHF 1’234.50": 1234.5,
    "$1\u202f234": 1234.0,
    "(5.00)": -5.0,
    "($1,234.56)": -1234.56,
    "£(5)": -5.0,
    "5.00-": -5.0,
    "5.00- €": None,
    "\u22125": -5.0,
    "1 234 €": 1234.0,
    "12 34": None,
    "1 2345": None,
    "(-5)": None,
    "(5": None,
    "5 (6)": None,
    "()": None,
    "-": None,
    "--5": None,
    "-5-": None,
    "EUR": None,
    "£": None,
    "5 MIN": None,
    "$5 off": None,
    "-£-6": None,
    "300,00 €": None,
}
COMMA = {
    "300,00 €": 300.0,
    "12,50 EUR": 12.5,
    "-1.234,50 €": -1234.5,
    "1 234,50": 1234.5,
    "12\u00a0345\u00a0678,5 €": 12345678.5,
    "(1.234,50 €)": -1234.5,
    "1.234,50-": -1234.5,
    "EUR 7": 7.0,
    "€ 12.50": None,
}


@pytest.mark.parametrize(("decimal", "read_as"), [(".", POINT), (",", COMMA)])
def test_an_amount_is_read_with_its_currency(
    decimal: str, read_as: dict[str, float | None]
) -> None:
    rows = pl.DataFrame({"v": list(read_as)}).select(as_amount("v", pl.String(), decimal))
    assert rows["v"].to_list() == list(read_as.values())


def _rows(*amounts: str, first: int = 0) -> str:
    lines = (f"{n},u,2024-03-01,buy,{amount}\n" for n, amount in enumerate(amounts, first))
    return HEAD + "".join(lines)


def test_amounts_of_one_currency_are_added_up(tmp_path: Path) -> None:
    result, events = ingested(tmp_path, _rows("£1.50", "2", "GBP 3", ""))
    assert (result.rows_added, result.quarantined) == (4, 0)
    assert events["amount"].sum() == 6.5


def test_amounts_of_two_currencies_are_refused(tmp_path: Path) -> None:
    found = r"GBP \('£1.50' in log.csv\) and in EUR \('2 €' in log.csv\), which cannot be added up"
    with pytest.raises(InputError, match=found):
        ingested(tmp_path, _rows("£1.50", "2 €"))
    assert table(tmp_path).is_empty()


def test_a_later_ingest_does_not_add_another_currency(tmp_path: Path) -> None:
    ingested(tmp_path, _rows("£1.50"))
    put(tmp_path, "later.csv", _rows("$2", first=9))
    with pytest.raises(InputError, match=r"GBP \(log.csv\) and in USD \('\$2' in later.csv\)"):
        ingest(settings_in(tmp_path))
    assert table(tmp_path)["amount"].to_list() == [1.5]
    put(tmp_path, "later.csv", _rows("GBP 2", first=9))
    assert ingest(settings_in(tmp_path)).rows_added == 1


@pytest.mark.parametrize(
    ("amounts", "decimal", "note"),
    [
        (["£30.00", "-£6.00", "1,200.00"], ".", ""),
        (["30,00 €", "-6,00 €", "1.200,00 €"], ",", ""),
        (["EUR 30", "$6", "$7.5"], ".", "IN EUR AND USD: 'ingest' refuses"),
    ],
)
def test_a_column_with_currencies_is_proposed_as_the_amount(
    tmp_path: Path, amounts: list[str], decimal: str, note: str
) -> None:
    lines = (f"{n % 70};2024-03-{n % 28 + 1:02d};{amounts[n % 3]}\n" for n in range(300))
    log = put(tmp_path, "log.csv", "customer;date;worth\n" + "".join(lines))
    text = propose([log], tmp_path / "holdfast.toml")
    (tmp_path / "holdfast.toml").write_text(text, encoding="utf-8")
    source = load_settings(tmp_path / "holdfast.toml").source[0]
    assert (source.columns.amount, source.decimal) == ("worth", decimal)
    assert note in text
