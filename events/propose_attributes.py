"""Which columns could be features, and which are known only after the fact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from events.propose_churn import speaks_of
from events.propose_column import Column
from events.propose_look import Look
from events.propose_words import words_of

FEW_KINDS = 50
OUTCOMES = ("churn", "attrit", "exited", "lapsed", "retained", "ltv", "clv", "cltv")
AT_THE_EXPORT = (  # of a row a user: as it was on the day that the table was written
    *("last", "latest", "recency", "tenure", "lifetime", "total", "status", "active", "inactive"),
    *("target", "label", "result", "outcome", "final", "current", "stock", "discontinued"),
)


@dataclass(frozen=True)
class Attributes:
    """`kept`: columns of the users table; `left_out`: of the others, why, as comments."""

    kept: list[str]
    left_out: list[str]


def attributes_of(
    look: Look, user_id: str, dates: Sequence[str], left: Column | None
) -> Attributes:
    """`left`: the date on which a user left, where there is one."""
    filled = [] if left is None else known_on_leaving(look, left)
    could_be = [
        column.name
        for column in look.columns
        if column.name not in (user_id, *dates, *filled)
        and (column.number or column.kinds <= FEW_KINDS)
    ]
    named = [name for name in could_be if tells_by_name(name, AT_THE_EXPORT)]
    why = []
    if left is not None and filled:
        why.append(f"# Left out: {_shown(filled)}: filled only where '{left.name}' is.")
    if named:
        day = "as of the day of the export"
        why.append(f"# Left out by name, {day}: {_shown(named)}. Known at the start? Add it.")
    return Attributes([name for name in could_be if name not in named], why)


def _shown(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def tells_by_name(name: str, words: Sequence[str] = ()) -> bool:
    """Whether a column is named as what is known only after the fact: who has left, or has one of
    some more words."""
    return speaks_of(name, OUTCOMES) or bool(set(words_of(name)) & set(words))


def known_on_leaving(look: Look, left: Column) -> list[str]:
    """The columns that are filled of those alone who have left, and so tell who will."""
    others = [c for c in look.columns if c.name != left.name and 0 < c.known < len(c.text)]
    return [c.name for c in others if not (c.text.is_not_null() & left.text.is_null()).any()]
