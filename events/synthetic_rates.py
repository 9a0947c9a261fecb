"""What subscribers do on a day, given their hidden state: rates, amounts, mixes and rhythms."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import numpy as np

from events.synthetic_laws import (
    ENGAGEMENT,
    GROUPS,
    LEVELS,
    LOOKAHEAD_DAYS,
    PAYMENT,
    PLAN,
    PURSE,
    RESPONSE,
    SUPPORT,
    TEMPERAMENT,
)
from events.synthetic_world import DAY_MS, Floats, Ints, World

# Rates a day at calendar 1. A visit is one action and `_MORE` more on average.
_VISITS = np.array([0.020, 0.080, 0.320, 0.370, 0.410, 0.450])
_MORE = np.array([0.1, 0.2, 0.4, 0.5, 0.6, 0.7])
LOGIN_SHARE = 0.15  # of visits, whose session had run out
_EMAILS = np.array([0.004, 0.016, 0.090, 0.105, 0.115, 0.125])
_EMAILS_RESPONSE = np.array([1.5, 1.0, 0.8, 0.6])
_PURCHASES = np.array([0.0008, 0.0016, 0.0032, 0.0060, 0.0100, 0.0150])
_PURCHASES_PURSE = np.array([0.8, 1.6])
ONBOARDING_STEPS = 8  # offered on the day of signup; taken with these chances, by engagement
ONBOARDED = np.array([0.06, 0.20, 0.60, 0.70, 0.78, 0.86])
NOTED = 0.9  # share of changes of engagement that show in the notification settings
_FOLLOW_UPS = 0.20  # tickets more, a day with one open
_RETRIES = 0.25  # failed payments more, a day with one open
_REFUNDS = np.array([0.0006, 0.0080])  # without and with an open ticket

PURCHASE_SHAPE = 1.6  # gamma
PURCHASE_MEAN = np.array([[6.0, 7.0, 9.0], [18.0, 24.0, 34.0]])  # purse x plan
REFUND_LEAST, REFUND_MOST = 2.0, 14.0  # uniform

ACTIONS = ("view", "play", "search", "favourite", "share")
_MIX = np.array(
    [[0.30, 0.42, 0.05, 0.14, 0.09], [0.40, 0.34, 0.15, 0.06, 0.05], [0.44, 0.20, 0.31, 0.03, 0.02]]
)
_KEEN_BY_LEVEL = np.array([0.2, 0.3, 0.8, 1.0, 1.15, 1.3])  # those who drift away only look

_WEEKDAY = np.array([0.95, 0.93, 0.95, 1.0, 1.08, 1.15, 1.10])
_HOLIDAYS = {(1, 1), (5, 1), (12, 24), (12, 25), (12, 26), (12, 31)}
_HOURS = np.array(
    [1, 0.6, 0.4, 0.3, 0.3, 0.6, 1.5, 3, 4, 3.5, 3, 3, 4, 4, 3.5, 3.5, 4, 5, 6.5, 8, 9, 8, 5.5, 2.5]
)
_HOURS_WEEKEND = np.array(
    [
        2,
        1.4,
        0.9,
        0.5,
        0.3,
        0.3,
        0.6,
        1.2,
        2.5,
        4,
        5,
        5.5,
        5.5,
        5.5,
        5.5,
        5.5,
        6,
        6,
        6.5,
        7.5,
        8,
        8,
        6,
        4,
    ]
)
COUNTRY_OFFSET_HOURS = np.array([1, 1, 0, -3, -5])
QUANTILES = 4096
SATURDAY = 5
_SALE = ((11, 24), (11, 30))
_ADVENT = ((12, 1), (12, 23))


@dataclass(frozen=True)
class Rates:
    """Rates a day at calendar 1, shape (GROUPS, STATES); calendars, shape (days,)."""

    visits: Floats
    actions: Floats  # mean number in a visit, (STATES,)
    emails: Floats
    purchases: Floats
    purchase_mean: Floats
    tickets: Floats  # follow-ups to an open one
    retries: Floats
    refunds: Floats
    busy: Floats  # calendar of visits and emails
    buying: Floats  # calendar of purchases

    def earned(self, day: int) -> Floats:
        """Expected purchases less refunds on a day, shape (GROUPS, STATES)."""
        bought = self.purchases * self.purchase_mean * self.buying[day]
        result: Floats = bought - self.refunds * (REFUND_LEAST + REFUND_MOST) / 2
        return result


@lru_cache(maxsize=8)
def rates_of(world: World) -> Rates:
    one = np.ones((GROUPS, 1))
    days = [world.start + timedelta(days=d) for d in range(world.days + LOOKAHEAD_DAYS)]
    return Rates(
        visits=one * _VISITS[ENGAGEMENT],
        actions=1 + _MORE[ENGAGEMENT],
        emails=_EMAILS_RESPONSE[RESPONSE][:, None] * _EMAILS[ENGAGEMENT],
        purchases=_PURCHASES_PURSE[PURSE][:, None] * _PURCHASES[ENGAGEMENT],
        purchase_mean=PURCHASE_MEAN[PURSE][:, PLAN],
        tickets=one * np.where(SUPPORT == 1, _FOLLOW_UPS, 0.0),
        retries=one * np.where(PAYMENT == 1, _RETRIES, 0.0),
        refunds=one * _REFUNDS[SUPPORT],
        busy=np.array([_busy(day) for day in days]),
        buying=np.array([_buying(day) for day in days]),
    )


@lru_cache(maxsize=1)
def mix_edges() -> Floats:
    """Cumulative shares of ACTIONS, shape (temperament x engagement, actions), each row raised
    by its number: one search over the flat table draws for any row."""
    mix = np.repeat(_MIX[:, None, :], LEVELS, axis=1)
    for keen in ("play", "favourite", "share"):
        mix[:, :, ACTIONS.index(keen)] *= _KEEN_BY_LEVEL
    edges = np.cumsum(mix, axis=2) / mix.sum(axis=2, keepdims=True)
    edges[:, :, -1] = 1.0
    flat = edges.reshape(-1, len(ACTIONS))
    result: Floats = flat + np.arange(flat.shape[0])[:, None]
    return result


def mix_row(group: Ints, state: Ints) -> Ints:
    result: Ints = TEMPERAMENT[group] * LEVELS + ENGAGEMENT[state]
    return result


@lru_cache(maxsize=1)
def clock_table() -> Ints:
    """Milliseconds of the local day at each quantile of activity, (2, QUANTILES + 1): working
    days, weekends. Linear between two quantiles."""
    rows = []
    for weights in (_HOURS, _HOURS_WEEKEND):
        share = np.concatenate([[0.0], np.cumsum(weights) / weights.sum()])
        at = np.interp(np.linspace(0, 1, QUANTILES + 1), share, np.arange(25) / 24)
        rows.append((at * (DAY_MS - 1)).astype(np.int64))
    return np.array(rows)


def _busy(day: date) -> float:
    """More in winter, at weekends; much less on holidays."""
    season = 1 + 0.10 * np.cos(2 * np.pi * (day.timetuple().tm_yday - 15) / 365.25)
    holiday = 0.6 if (day.month, day.day) in _HOLIDAYS else 1.0
    return float(season * _WEEKDAY[day.weekday()] * holiday)


def _buying(day: date) -> float:
    """Advent, and the sale in the last days of November."""
    at = (day.month, day.day)
    sale = 2.0 if _SALE[0] <= at <= _SALE[1] else 1.0
    advent = 1.4 if _ADVENT[0] <= at <= _ADVENT[1] else 1.0
    return sale * advent * (1.05 if day.weekday() >= SATURDAY else 0.98)
