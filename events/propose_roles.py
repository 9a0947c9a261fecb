"""Which column of a file is the user, the time, the event, the amount, the channel, the id.

By name first (in words, whatever the case or the joints), then by what the values are like.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import polars as pl

from events.nested import JOINT
from events.propose_column import Column
from events.propose_look import Look
from events.propose_names import (
    AMOUNTS,
    CHANNELS,
    CLOCKS,
    EVENT_IDS,
    EVENTS,
    KEYS,
    LESS,
    NO_MONEY,
    NOT_WHEN,
    NUMBERS,
    OF_MAIL,
    RECORDS,
    THINGS,
    TIMES,
    USERS,
)
from events.propose_words import words_of
from events.timestamps import counts_since

MOST_KINDS = 500
_FEW_KINDS = 50
_MANY_ROWS = 2_000  # in so many _FEW_KINDS are those of events, channels, countries
_MOSTLY = 0.5  # a column with less hardly says whose an event is, or what it is
_LEAST_RANK = 0.5  # of a name
_SURE = 0.5  # score of an amount: no discount, no tax
_PIECES = 2
_MOST_DECIMALS = r"\.\d{5,}$"  # of no money


@dataclass(frozen=True)
class Roles:
    """Column names; None where the file has none that fits. `user_by_name`: not a guess."""

    ts: str | None
    clock: str | None
    user_id: str | None
    user_by_name: bool
    event: str | None
    amount: str | None
    channel: str | None
    event_id: str | None
    extra: tuple[str, ...]
    row_numbers: tuple[str, ...]

    @property
    def is_log(self) -> bool:
        return self.ts is not None and self.user_id is not None


def roles_of(look: Look) -> Roles:
    row_numbers = [c for c in look.columns if _is_row_number(c)]
    objects = [c for c in look.columns if c.objects]
    free = _without(look.columns, [*row_numbers, *objects])
    ts = _best(free, as_time)
    free = _without(free, [ts])
    clock = _best(free, _as_clock) if ts and not ts.finer_than_a_day else None
    free = _without(free, [clock])
    user = _best(free, as_user)
    by_name = user is not None
    user = user or _guessed_user(free, look)
    free = _without(free, [user])
    event_id = _best(free, partial(_as_event_id, rows=_different_rows(look)))
    free = _without(free, [event_id])
    event = _best(free, _as_event) or _guessed_event(free, look)
    free = _without(free, [event])
    amount = _amount(free) or _guessed_amount(free, look)
    free = _without(free, [amount])
    channel = _best(free, _as_channel)
    free = _without(free, [channel])
    found = (ts, user, event, amount, channel, event_id, clock)
    named = [column.name if column else None for column in found]
    return Roles(
        ts=named[0],
        user_id=named[1],
        user_by_name=by_name,
        event=named[2],
        amount=named[3],
        channel=named[4],
        event_id=named[5],
        clock=named[6],
        extra=tuple(c.name for c in look.columns if c in free or c in objects),
        row_numbers=tuple(c.name for c in row_numbers),
    )


def _without(columns: Sequence[Column], taken: Iterable[Column | None]) -> list[Column]:
    names = {column.name for column in taken if column}
    return [column for column in columns if column.name not in names]


def _best(columns: Sequence[Column], score: object) -> Column | None:
    """One of a column's own before one that came out of an object."""
    assert callable(score)
    scored = [(score(column), -i, column) for i, column in enumerate(columns)]
    good = [entry for entry in scored if entry[0] > 0]
    good = [entry for entry in good if JOINT not in entry[2].name] or good
    return max(good, key=lambda entry: entry[:2])[2] if good else None


def _rank(words: Sequence[str], wanted: Sequence[str]) -> float:
    """1 for the first of the wanted words, falling; 0 where none is there."""
    places = [wanted.index(word) for word in words if word in wanted]
    return 1 - min(places) / (2 * len(wanted)) if places else 0.0


def _is_row_number(column: Column) -> bool:
    """An index that a tool has written: a first column without a name that counts rows."""
    if not re.fullmatch(r"column_1|Unnamed: 0|index|", column.name) or not column.whole:
        return False
    numbers = column.text.cast(int, strict=False).head(1000)
    return numbers.len() > 1 and bool((numbers.diff().drop_nulls() == 1).all())


def as_time(column: Column) -> float:
    """How much it is one of when something happened; 0 where not at all."""
    if column.times is None or column.kinds < min(2, column.known):
        return 0.0
    words = words_of(column.name)
    rank = _rank(words, TIMES)
    if column.digits and not rank:
        return 0.5 if not _rank(words, (*USERS, *KEYS, *AMOUNTS)) else 0.0
    if counts_since(column.time_format or ""):
        return 0.25
    less = 0.2 * any(word in NOT_WHEN for word in words) + 0.01 * len(words)
    return (1 + rank + 0.5 * column.finer_than_a_day - less) * _filled(column)


def _filled(column: Column) -> float:
    return column.known / max(1, len(column.text))


def _as_clock(column: Column) -> float:
    rank = _rank(words_of(column.name), CLOCKS)
    return rank if rank and column.times is None and column.clock else 0.0


def as_user(column: Column) -> float:
    """How much its name is one of users; 0 where not at all, or its values are none."""
    words = words_of(column.name)
    rank = _rank(words, USERS)
    timed = column.times is not None and not column.digits
    if not rank or timed or column.kinds < (2 if column.known > 1 else 1):
        return 0.0
    if words[-2:] == ["email", "address"]:
        words = words[:-1]
    others = [w for w in words if len(w) > 1 and w not in (*USERS, *KEYS, "from", "by")]
    score = 0.0
    if words[-1] in KEYS:
        score = 2 + rank - 0.5 * len(others)
    elif not others:
        score = 1 + rank
    elif others in (["name"], ["text"], ["login"], ["handle"]):
        score = rank
    return score if _filled(column) >= _MOSTLY else 0.1 * score


def _guessed_user(columns: Sequence[Column], look: Look) -> Column | None:
    """Without a name that tells: the first column of repeated ids, else the first of ids; none of
    a few kinds, where there are many rows."""
    ids = [c for c in columns if c.times is None and c.known == len(c.text) and c.kinds > 1]
    ids = [c for c in ids if _could_be_ids(c) and not _shows_clock(c)]
    many = [c for c in ids if c.kinds > _FEW_KINDS]
    ids = many if look.rows >= _MANY_ROWS else ids
    repeated = [c for c in many if c.kinds < look.rows] or [c for c in ids if c.kinds < look.rows]
    return next(iter(repeated or ids), None)


def _could_be_ids(column: Column) -> bool:
    """Texts, whole numbers, or whole numbers and a few words ("ANON") among them."""
    if column.whole or not column.number:
        return True
    others = column.text.drop_nulls()
    others = others.filter(~others.str.contains(r"^-?\d+$"))
    return not column.currencies and bool(others.str.contains(r"^\p{L}").all())


def _shows_clock(column: Column) -> bool:
    return column.clock and not column.whole


def _different_rows(look: Look) -> int:
    return pl.DataFrame({column.name: column.text for column in look.columns}).n_unique()


def _as_event_id(column: Column, rows: int) -> float:
    """`rows`: how many different ones there are; the same row may have come twice."""
    words = words_of(column.name)
    unique = column.known == len(column.text) and column.kinds == rows
    if not unique or column.known <= 1 or (column.number and not column.whole):
        return 0.0
    if words in (["id"], ["uuid"], ["guid"]):
        return 2.0
    if set(words) & set(THINGS):  # each may be met once in what was looked at
        return 0.0
    rank = _rank(words, EVENT_IDS)
    return 1 + rank if words[-1:] in ([k] for k in KEYS if rank or k not in NUMBERS) else 0.0


def _as_event(column: Column) -> float:
    words = words_of(column.name)
    rank = _rank(words, EVENTS) or (_LEAST_RANK if _of_mail(column) else 0.0)
    few = 0 < column.kinds <= max(2, min(MOST_KINDS, column.known // 2))
    if not rank or not few or column.times is not None or words[-1] in KEYS:
        return 0.0
    weak = {"type", "kind", "name", "page", "screen"}
    of_rows = _of_mail(column) or (words[-1] in {"type", "kind"} and words[0] in RECORDS)
    sure = of_rows or set(words) & (set(EVENTS) - weak)
    if not sure and (len(words) > 1 or column.number):
        return 0.0
    rank -= 0.1 * sum(word not in EVENTS for word in words) + 0.4 * (column.kinds == 1)
    if _filled(column) < _MOSTLY:
        return 0.01
    return max(0.01, rank) if column.number else 1 + rank


def _of_mail(column: Column) -> bool:
    """Whether it is the state of what was sent: two or more of such words, and no other."""
    if words_of(column.name)[-1:] not in (["status"], ["state"]) or column.kinds > len(OF_MAIL):
        return False
    return column.kinds > 1 and bool(
        column.text.drop_nulls().unique().str.to_lowercase().is_in(OF_MAIL).all()
    )


def _guessed_event(columns: Sequence[Column], look: Look) -> Column | None:
    """Where no column has a name: the last one of a few words."""
    words = [c for c in columns if not c.number and c.times is None]
    few = [c for c in words if 1 < c.kinds <= min(_FEW_KINDS, c.known // 2)]
    return few[-1] if few and not look.header else None


def as_amount(column: Column) -> float:
    """How much its name is one of money, or its values are written with a currency; 0 where not
    at all."""
    words = words_of(column.name)
    if not column.number or column.times is not None or words[-1:] in (["id"], ["number"]):
        return 0.0
    priced = bool(column.currencies)
    if set(words) & set(NO_MONEY) and not priced:
        return 0.0
    return (_rank(words, AMOUNTS) + priced) * (0.1 if set(words) & set(LESS) else 1)


def _amount(columns: Sequence[Column]) -> Column | None:
    """An amount that is mostly of one or two is one of pieces where a price stands beside it."""
    found = _best(columns, as_amount)
    if found is None or not _mostly_pieces(found):
        return found
    sure = [c for c in columns if as_amount(c) >= _SURE and not _mostly_pieces(c)]
    return _best(sure, as_amount) or found


def _mostly_pieces(column: Column) -> bool:
    median = column.text.cast(pl.Int64, strict=False).quantile(0.5) if column.whole else None
    return median is not None and median <= _PIECES


def _guessed_amount(columns: Sequence[Column], look: Look) -> Column | None:
    """Where no column has a name: the last one of numbers with a fraction."""
    fractions = [
        c
        for c in columns
        if c.number
        and not c.whole
        and c.times is None
        and c.kinds > 1
        and not c.text.drop_nulls().str.contains(_MOST_DECIMALS).any()
    ]
    return fractions[-1] if fractions and not look.header else None


def _as_channel(column: Column) -> float:
    words = words_of(column.name)
    rank = _rank(words, CHANNELS)
    if not rank or column.number or not 1 < column.kinds <= _FEW_KINDS or "version" in words:
        return 0.0
    return rank - 0.6 * any(word in ("acquisition", "signup", "first") for word in words)
