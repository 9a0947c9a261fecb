"""What every column of a feature plan is, and what a value of it says, in words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType

from features.family import Feature, Unit
from features.plan import columns_of
from features.spec import FeatureSpec

LARGE, HUGE = 100, 1e12


@lru_cache(maxsize=32)
def dictionary(spec: FeatureSpec) -> Mapping[str, Feature]:
    """Every column of the plan by its name, in the plan's order."""
    return MappingProxyType({c.feature.name: c.feature for c in columns_of(spec)})


def describe(name: str, spec: FeatureSpec) -> Feature:
    """Raises KeyError for a column the spec does not have."""
    return dictionary(spec)[name]


def phrase(name: str, value: float | None, spec: FeatureSpec) -> str:
    """What a value says about a user: "last active 41 days ago"."""
    feature = describe(name, spec)
    if value is None or math.isnan(value):
        return feature.missing or f"{feature.description} is unknown"
    shown = SHOWN[feature.unit](value)
    one = shown in ("1", "1.0")
    return _fitting(feature.said, one=one).replace("{}", shown)


def _fitting(said: str, *, one: bool) -> str:
    return re.sub(r"\[([^|\]]*)\|([^\]]*)\]", r"\1" if one else r"\2", said)


def _days(value: float) -> str:
    if value < 1:
        return _quantity(value * 24, "hour") if value * 24 >= 1 else "less than an hour"
    return _quantity(value, "day")


def _ahead(value: float) -> str:
    return f"in {_days(value)}" if value >= 0 else f"{_days(-value)} ago"


def _quantity(value: float, noun: str) -> str:
    shown = _number(value if noun == "minute" else round(value))
    return f"{shown} {noun}" if shown == "1" else f"{shown} {noun}s"


def _number(value: float) -> str:
    """One decimal below a hundred, none above; huge values in powers of ten."""
    if abs(value) >= HUGE:
        return f"{value:.2g}"
    text = f"{value:,.1f}" if abs(value) < LARGE else f"{value:,.0f}"
    return text.removesuffix(".0")


def _money(value: float) -> str:
    return f"{value:.3g}" if abs(value) >= HUGE else f"{value:,.2f}"


def _share(value: float) -> str:
    percent = 100 * value
    if 0 < percent < 1:
        return "less than 1 %"
    return f"{percent:.0f} %"


def _ratio(value: float) -> str:
    return f"{value:,.2f} times" if value < LARGE else f"{_number(value)} times"


SHOWN: Mapping[Unit, Callable[[float], str]] = {
    "days": _days,
    "minutes": lambda value: _quantity(value, "minute"),
    "count": lambda value: "no" if value == 0 else _number(value),
    "money": _money,
    "share": _share,
    "ratio": _ratio,
    "number": _number,
    "ahead": _ahead,
    "flag": lambda value: "is" if value else "is not",
}
