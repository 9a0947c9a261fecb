"""Numbers as people read them. `page.js` says the same in the browser: change both."""

from __future__ import annotations

import math
from datetime import datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from report.parts import Kind
from report.words import Lang, Words

NOTHING = "–"
_WHOLE = 1000  # from here on money has no cents, and other numbers no decimals
_HUNDRED = 100
_DAY, _HOUR, _MINUTE = 86_400, 3_600, 60
_SMALL = 0.0005


def shown(value: Any, kind: Kind, words: Words) -> str:
    """A value of a table's column; a dash where it is unknown."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NOTHING
    if kind in ("text", "word", "name", "date", "said"):
        return str(value)
    if kind == "share":
        return share(value, words.lang)
    if kind == "duration":
        return duration(value, words)
    return {"count": count, "money": money, "number": number, "factor": factor}[kind](value)


def fixed(value: float, digits: int) -> str:
    """With so many decimals, halves away from zero as in the browser: '1,234.50'; never '-0'."""
    return f"{Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP):z,}"


def count(value: float) -> str:
    return fixed(value, 0)


def share(value: float | None, lang: Lang) -> str:
    """'12.3 %'; in Chinese without the space. What is not nothing is never shown as 0."""
    if value is None:
        return NOTHING
    space = "" if lang == "zh" else "\u202f"
    if 0 < value < _SMALL:
        return f"<{space}0.1{space}%"
    return f"{fixed(_HUNDRED * value, 1)}{space}%"


def money(value: float) -> str:
    """In the unit of the log, which has no name in it."""
    return fixed(value, 0 if abs(value) >= _WHOLE else 2)


def number(value: float) -> str:
    whole = float(value).is_integer() or abs(value) >= _WHOLE
    return fixed(value, 0 if whole else 3)


def factor(value: float) -> str:
    """'4.1×'; below 1 with two decimals, where one would tell 0.04 from nothing no more."""
    return f"{fixed(value, 2 if 0 < abs(value) < 1 else 1)}×"


def duration(seconds: float, words: Words) -> str:
    """In the largest unit that it fills: '3.5 days'."""
    for unit, size in (("days", _DAY), ("hours", _HOUR), ("minutes", _MINUTE)):
        if seconds >= size:
            return words(f"unit.{unit}", n=_short(seconds / size))
    return words("unit.seconds", n=_short(seconds))


def days(span: timedelta | float, words: Words) -> str:
    found = span / timedelta(days=1) if isinstance(span, timedelta) else span
    return words("unit.days", n=_short(found))


def part_of(listed: int, of: int, words: Words, key: str = "page.first_of") -> str:
    """'The first 20 of 1,547.'; nothing where all are listed."""
    return words(key, shown=count(listed), of=count(of)) if listed < of else ""


def day(at: datetime, zone: str) -> str:
    """The calendar day that an instant falls on in `zone`."""
    return at.astimezone(ZoneInfo(zone)).date().isoformat()


def instant(at: datetime, zone: str) -> str:
    """A date where it is a midnight of `zone`, else to the minute."""
    local = at.astimezone(ZoneInfo(zone))
    return day(at, zone) if local.time() == time() else f"{local:%Y-%m-%d %H:%M} {zone}"


def _short(value: float) -> str:
    return fixed(value, 1).removesuffix(".0")
