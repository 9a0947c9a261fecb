"""Counts in words."""

from __future__ import annotations


def counted(number: float, nouns: str) -> str:
    """'1 user', '2,000 users'; `nouns`: in the plural, with the -s that one of them lacks."""
    return f"{number:,.0f} {named(number, nouns)}"


def named(number: float, nouns: str) -> str:
    return nouns.removesuffix("s") if number == 1 else nouns
