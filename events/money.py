"""Amounts that are written with their currency: '300,00 €', '-£6.00', 'EUR 12.50', 'US$ 5'.

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
_NOT_BARE = r"[^\d.,+-]"


def without_currency(text: pl.Series) -> pl.Series:
    """Texts without blanks at their ends, their currency left out: what is left of one that is
    an amount is a number."""
    if not text.str.contains(_NOT_BARE).any():
        return text
    return text.str.replace(_BEFORE, "$1$2$3").str.replace(_AFTER, "$1")


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
        .with_columns(value.str.strip_chars().alias("plain"))
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
