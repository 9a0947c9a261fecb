"""Numbers as people read them. `page.js` says the same in the browser: change both."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

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
    if kind in ("text", "name", "date", "said"):
        return str(value)
    if kind == "share":
        return share(value, words.lang)
    if kind == "duration":
        return duration(value, words)
    return {"count": count, "money": money, "number": number, "factor": factor}[kind](value)


def fixed(value: float, digits: int) -> str:
    """With so many decimals, halves away from zero as in the browser: '1,234.50'."""
    return f"{Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP):,}"


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
    return f"{fixed(value, 1)}×"


def duration(seconds: float, words: Words) -> str:
    """In the largest unit that it fills: '3.5 days'."""
    for unit, size in (("days", _DAY), ("hours", _HOUR), ("minutes", _MINUTE)):
        if seconds >= size:
            return words(f"unit.{unit}", n=_short(seconds / size))
    return words("unit.seconds", n=_short(seconds))


def days(span: timedelta | float, words: Words) -> str:
    found = span / timedelta(days=1) if isinstance(span, timedelta) else span
    return words("unit.days", n=_short(found))


def _short(value: float) -> str:
    return fixed(value, 1).removesuffix(".0")
