"""Rules about a user as SQL text, read and checked: yes or no of named measures."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

import polars as pl
from polars.exceptions import PolarsError

FUNCTIONS = ("abs", "ceil", "coalesce", "floor", "greatest", "least", "nullif", "round")
_CALLED = re.compile(r"\b([a-z_]\w*)\s*\(", re.IGNORECASE)
_WORDS = ("and", "or", "not", "in", "between", "case", "when", "then", "else", "is")
_REFUSED = re.compile(r"\b(select|over)\b", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])(?:\d+\.\d*|\.\d+)(?![\w.])")


def read_rule(text: str, measures: Iterable[str]) -> pl.Expr:
    """A Boolean expression of one row; null where a measure it needs is unknown.

    Raises ValueError in words: not SQL, a name or function that is not known, no yes or no.
    """
    known = tuple(measures)
    if found := _REFUSED.search(text):
        raise ValueError(f"'{text}': '{found[0]}' has no place in a rule about one user")
    for name in _CALLED.findall(text):
        if name.lower() not in (*FUNCTIONS, *_WORDS):
            raise ValueError(
                f"'{text}': no function '{name}' here; there are {', '.join(FUNCTIONS)}"
            )
    try:
        rule = pl.sql_expr(text)
    except PolarsError as error:
        raise ValueError(f"'{text}' is no SQL expression ({_first_line(error)})") from None
    _require_known(text, rule.meta.root_names(), known)
    _require_yes_or_no(text, rule, known)
    return rule


def _require_known(text: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            said = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
            raise ValueError(f"'{text}': no measure '{name}'; {said}")


def _require_yes_or_no(text: str, rule: pl.Expr, known: Sequence[str]) -> None:
    try:
        told = pl.DataFrame(schema=dict.fromkeys(known, pl.Float64)).select(rule).dtypes[0]
    except PolarsError as error:
        raise ValueError(f"'{text}' cannot be told of numbers ({_first_line(error)})") from None
    if told != pl.Boolean:
        raise ValueError(f"'{text}' is no yes or no; compare it with something, as in 'orders > 1'")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def measures_in(text: str) -> frozenset[str]:
    """The names that a rule which has been read depends on."""
    return frozenset(pl.sql_expr(text).meta.root_names())


def shares_in(text: str) -> frozenset[Decimal]:
    """The numbers between 0 and 1 that a rule is written with."""
    return frozenset(n for n in map(Decimal, _NUMBER.findall(text)) if 0 < n < 1)
