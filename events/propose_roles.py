"""Which column of a file is the user, the time, the event, the amount, the channel, the id.

By name first (in words, whatever the case or the joints), then by what the values are like.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from events.propose_look import Column, Look

USERS = (
    *("user", "customer", "cust", "client", "member", "subscriber", "account", "visitor"),
    *("player", "person", "uid", "userid", "customerid", "clientid", "kunde", "kunden", "cliente"),
    *("usuario", "buyer", "shopper", "sender", "contact", "distinct", "profile", "household"),
    *(
        "owner",
        "actor",
        "patient",
        "student",
        "driver",
        "guest",
        "msisdn",
        "email",
        "device",
        "who",
    ),
)
KEYS = ("id", "key", "uuid", "guid", "no", "nr", "num", "number", "code", "hash", "nummer", "ref")
TIMES = (
    *("timestamp", "ts", "time", "datetime", "date", "when", "at", "occurred", "datum", "zeit"),
    *("zeitpunkt", "fecha", "day", "tag", "created", "purchased", "ordered", "sent"),
)
EVENTS = (
    *("event", "action", "activity", "verb", "what", "operation", "ereignis", "evento", "aktion"),
    *("behavior", "behaviour", "interaction", "type", "kind", "name", "page", "screen"),
)
AMOUNTS = (
    *("revenue", "amount", "dollar", "usd", "eur", "gmv", "paid", "payment", "spend", "spent"),
    *("total", "sales", "price", "betrag", "umsatz", "preis", "value", "importe", "charge", "cost"),
    *("fee", "sum", "turnover", "money", "amt"),
)
CHANNELS = ("channel", "platform", "kanal", "medium", "canal", "device", "app", "os", "where")
EVENT_IDS = (
    *("event", "transaction", "message", "msg", "insert", "order", "invoice", "row", "record"),
    *("purchase", "click", "visit", "call", "tx", "txn", "log", "hit", "payment", "ticket"),
)
NO_MONEY = (
    *("sec", "secs", "seconds", "min", "mins", "minutes", "hours", "days", "duration", "time"),
    *("count", "num", "items", "qty", "quantity", "hits", "views", "clicks", "plays", "pages"),
    *("visits", "sessions", "events", "songs", "steps", "points", "score", "rows", "length"),
)
THINGS = ("article", "product", "item", "sku", "content", "movie", "song", "track", "category")
MOST_KINDS = 500
_COMPOUND = re.compile(
    "^(kunden|customer|user|client|member|account|subscriber|visitor|player|order|event)"
    "(id|no|nr|num|nummer|number|key|code)$"
)
_FEW_KINDS = 50


@dataclass(frozen=True)
class Roles:
    """Column names; None where the file has none that fits. `user_by_name`: not a guess."""

    ts: str | None
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


def words_of(name: str) -> list[str]:
    """ "userId", "User ID" and "user_id" are the words user, id."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    words = [word.lower() for word in re.split(r"[^A-Za-z0-9]+", apart) if word]
    return [part for word in words for part in _COMPOUND.sub(r"\1 \2", word).split()]


def roles_of(look: Look) -> Roles:
    free = list(look.columns)
    row_numbers = [c for c in free if _is_row_number(c)]
    free = _without(free, row_numbers)
    ts = _best(free, _as_time)
    free = _without(free, [ts])
    user = _best(free, _as_user)
    by_name = user is not None
    user = user or _guessed_user(free, look)
    free = _without(free, [user])
    event_id = _best(free, _as_event_id)
    free = _without(free, [event_id])
    event = _best(free, _as_event) or _guessed_event(free, look)
    free = _without(free, [event])
    amount = _best(free, as_amount) or _guessed_amount(free, look)
    free = _without(free, [amount])
    channel = _best(free, _as_channel)
    free = _without(free, [channel])
    found = (ts, user, event, amount, channel, event_id)
    named = [column.name if column else None for column in found]
    return Roles(
        ts=named[0],
        user_id=named[1],
        user_by_name=by_name,
        event=named[2],
        amount=named[3],
        channel=named[4],
        event_id=named[5],
        extra=tuple(c.name for c in free),
        row_numbers=tuple(c.name for c in row_numbers),
    )


def _without(columns: Sequence[Column], taken: Iterable[Column | None]) -> list[Column]:
    names = {column.name for column in taken if column}
    return [column for column in columns if column.name not in names]


def _best(columns: Sequence[Column], score: object) -> Column | None:
    assert callable(score)
    scored = [(score(column), -i, column) for i, column in enumerate(columns)]
    good = [entry for entry in scored if entry[0] > 0]
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


def _as_time(column: Column) -> float:
    if column.times is None or column.kinds < min(2, column.known):
        return 0.0
    rank = _rank(words_of(column.name), TIMES)
    number = column.time_format is not None and column.time_format.startswith(("epoch", "%Y%m%d"))
    if number and not rank:
        return 0.5 if not _rank(words_of(column.name), (*USERS, *KEYS, *AMOUNTS)) else 0.0
    filled = column.known / max(1, len(column.text))
    return (1 + rank + 0.5 * column.finer_than_a_day) * filled


def _as_user(column: Column) -> float:
    words = words_of(column.name)
    rank = _rank(words, USERS)
    if not rank or column.times is not None or column.kinds < min(2, column.known):
        return 0.0
    others = [word for word in words if word not in USERS and word not in KEYS]
    if words[-1] in KEYS:
        return 2 + rank - 0.5 * len(others)
    return 1 + rank if not others else 0.0


def _guessed_user(columns: Sequence[Column], look: Look) -> Column | None:
    """Without a name that tells: the first column of repeated ids, else the first of ids."""
    ids = [c for c in columns if c.times is None and c.known == len(c.text) and c.kinds > 1]
    ids = [c for c in ids if c.whole or not c.number]
    repeated = [c for c in ids if _FEW_KINDS < c.kinds < look.rows] or [
        c for c in ids if 1 < c.kinds < look.rows
    ]
    return next(iter(repeated or ids), None)


def _as_event_id(column: Column) -> float:
    words = words_of(column.name)
    unique = column.known == len(column.text) and column.kinds == column.known
    if not unique or column.known <= 1 or (column.number and not column.whole):
        return 0.0
    if words in (["id"], ["uuid"], ["guid"]):
        return 2.0
    if set(words) & set(THINGS):  # each may be met once in what was looked at
        return 0.0
    return 1 + _rank(words, EVENT_IDS) if words and words[-1] in KEYS else 0.0


def _as_event(column: Column) -> float:
    words = words_of(column.name)
    rank = _rank(words, EVENTS)
    few = 0 < column.kinds <= max(2, min(MOST_KINDS, column.known // 2))
    if not rank or not few or column.times is not None or words[-1] in KEYS:
        return 0.0
    weak = {"type", "kind", "name", "page", "screen"}
    if not set(words) & (set(EVENTS) - weak) and (len(words) > 1 or column.number):
        return 0.0
    return rank if column.number else 1 + rank


def _guessed_event(columns: Sequence[Column], look: Look) -> Column | None:
    """Where no column has a name: the last one of a few words."""
    words = [c for c in columns if not c.number and c.times is None]
    few = [c for c in words if 1 < c.kinds <= min(_FEW_KINDS, c.known // 2)]
    return few[-1] if few and not look.header else None


def as_amount(column: Column) -> float:
    """How much its name is one of money, 0 where not at all."""
    words = words_of(column.name)
    if not column.number or column.times is not None or words[-1:] in (["id"], ["number"]):
        return 0.0
    if set(words) & set(NO_MONEY):
        return 0.0
    return _rank(words, AMOUNTS)


def _guessed_amount(columns: Sequence[Column], look: Look) -> Column | None:
    """Where no column has a name: the last one of numbers with a fraction."""
    fractions = [c for c in columns if c.number and not c.whole and c.times is None]
    return fractions[-1] if fractions and not look.header else None


def _as_channel(column: Column) -> float:
    words = words_of(column.name)
    rank = _rank(words, CHANNELS)
    if not rank or column.number or not 1 < column.kinds <= _FEW_KINDS:
        return 0.0
    return rank - 0.6 * any(word in ("acquisition", "signup", "first") for word in words)
