"""Amounts as people and their programs write them: '300,00 €', '-£6.00', 'EUR 12.50', '1 234,50',
"1'234.50", '(5.00)', '5.00-'.

The amounts of a log are of one currency: they are added up. So the currency itself is left out
of what is kept, and a log that names two is refused.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from runtime.errors import InputError

_CODES = (
    "AED|ARS|AUD|BGN|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|HKD|HUF|IDR|ILS|INR|ISK|JPY|KES|"
    "KRW|KZT|MAD|MXN|MYR|NGN|NOK|NZD|PEN|PHP|PKR|PLN|QAR|RON|RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|"
    "UYU|VND|ZAR"
)
_SIGNS = {"€": "EUR", "£": "GBP", "$": "USD", "US$": "USD", "R$": "BRL", "₹": "INR", "₽": "RUB"}
_MARK = rf"[A-Z]{{0,2}}\p{{Sc}}|(?i:{_CODES})|kr|zł|Kč"
_BEFORE = rf"^([+-]?)\s*(?:{_MARK})\s*([+-]?)\s*([\d.,]+)$"
_AFTER = rf"^([+-]?[\d.,]+)\s*(?:{_MARK})$"
_NOT_BARE = r"[^\d.,+-]|-$"

_PARTED = r"[ \u{a0}\u{2009}\u{202f}'’]"  # between thousands
_IN_THOUSANDS = rf"^[^\d]*\d{{1,3}}(?:{_PARTED}\d{{3}})+(?:[.,]\d*)?[^\d]*$"
_IN_BRACKETS = rf"^((?:{_MARK})?)\s*\(([^()+-]+)\)$"
_SIGN_LAST = r"^([^+-]+)-$"


def as_plain(text: pl.Series) -> pl.Series:
    """Texts without blanks at their ends, less their currency and what parts thousands; below zero
    by a sign ahead, not by brackets. What is left of one that is an amount is a number."""
    if not text.str.contains(_NOT_BARE).any():
        return text
    return _written_plainly(text).str.replace(_BEFORE, "$1$2$3").str.replace(_AFTER, "$1")


def _written_plainly(text: pl.Series) -> pl.Series:
    """But for the currency."""
    value = pl.col("text")
    parted = pl.when(value.str.contains(_IN_THOUSANDS)).then(
        value.str.replace_all(rf"(\d){_PARTED}(\d)", "$1$2")
    )
    signed = (
        parted.otherwise(value)
        .str.replace("\u2212", "-", literal=True)
        .str.replace(_IN_BRACKETS, "-$1$2")
        .str.replace(_SIGN_LAST, "-$1")
    )
    return text.alias("text").to_frame().select(signed).to_series()


def currencies_in(text: pl.Series) -> dict[str, str]:
    """Each currency that an amount names (a code, or a sign that is of several), with the first
    such text."""
    value = pl.col("text")
    named = value.str.strip_chars().str.extract(f"({_MARK})")
    code = named.str.to_uppercase()
    found = (
        text.alias("text")
        .to_frame()
        .filter(value.str.contains(_NOT_BARE))
        .with_columns(
            value.str.strip_chars()
            .map_batches(_written_plainly, return_dtype=pl.String(), is_elementwise=True)
            .alias("plain")
        )
        .filter(pl.col("plain").str.contains(_BEFORE) | pl.col("plain").str.contains(_AFTER))
        .select(
            pl.when(code.is_in(_CODES.split("|")))
            .then(code)
            .otherwise(named.replace(_SIGNS))
            .alias("currency"),
            "text",
        )
    )
    return dict(found.unique("currency", keep="first", maintain_order=True).iter_rows())


def check_one_currency(seen: Iterable[tuple[str, str]]) -> None:
    """`seen`: currencies, each with where it was met. Raises InputError where there are two."""
    found: dict[str, str] = {}
    for currency, where in seen:
        found.setdefault(currency, where)
    if len(found) > 1:
        one, other, *_ = (f"{currency} ({where})" for currency, where in found.items())
        raise InputError(
            f"amounts are in {one} and in {other}, which cannot be added up; convert them to one "
            "currency, or leave out those of the other"
        )
