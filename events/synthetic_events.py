"""From hidden histories to the events they leave: whole blocks at once, no loop over users.

Between two changes of state a user's rates are constant but for the calendar, so the number of
visits in such a run is Poisson with the rate times the calendar's sum over its days, and their
days are drawn by inverting that sum. A visit is a few actions, some seconds apart.
"""

from __future__ import annotations

import numpy as np

from events.synthetic_hidden import History
from events.synthetic_laws import PAYMENT, PLAN, STATES, Move, laws_of
from events.synthetic_rates import (
    ACTIONS,
    LOGIN_SHARE,
    NOTED,
    ONBOARDED,
    ONBOARDING_STEPS,
    PURCHASE_SHAPE,
    REFUND_LEAST,
    REFUND_MOST,
    mix_edges,
    mix_row,
)
from events.synthetic_scene import (
    APP,
    BILLING,
    CODE,
    EMAIL,
    SUPPORT_DESK,
    WEB,
    Log,
    Scene,
    joined,
)
from events.synthetic_world import BLOCK_USERS, DAY_MS, Cast, Floats, Ints, World, stream

ITEMS = 5000  # in the catalogue; popular ones have low numbers
_SECONDS_BETWEEN = 45.0
_UNSPENT = np.nan


def emit(world: World, cast: Cast, history: History, block: int) -> Log:
    """All events of a block, in no order."""
    rng, scene = stream(world, block, 2), Scene(world, cast, history)
    return joined(
        [
            _visits(rng, scene),
            _opens(rng, scene),
            _purchases(rng, scene),
            _refunds(rng, scene),
            _troubles(rng, scene),
            _payments(rng, scene),
            _happenings(rng, scene),
            _signups(rng, scene),
            _campaign(rng, scene),
        ]
    )


def _log(
    user: Ints,
    ts: Ints,
    code: int | Ints,
    channel: int | Ints,
    amount: Floats | float = _UNSPENT,
    detail: int | Ints = -1,
) -> Log:
    shape = user.shape
    return Log(
        user=user.astype(np.int32),
        ts=ts,
        code=np.broadcast_to(np.asarray(code, np.int8), shape),
        channel=np.broadcast_to(np.asarray(channel, np.int8), shape),
        amount=np.broadcast_to(np.asarray(amount, np.float64), shape),
        detail=np.broadcast_to(np.asarray(detail, np.int32), shape),
    )


def _visits(rng: np.random.Generator, scene: Scene) -> Log:
    run, day = scene.scatter(rng, scene.rates.visits, scene.rates.busy)
    user, state = scene.user[run], scene.state[run]
    opened = scene.instants(rng, user, day)
    on_web = rng.random(user.size) < scene.cast.web_share[user]
    row = mix_row(scene.group[run], state)
    actions = rng.geometric(1 / scene.rates.actions[state])
    visit = np.repeat(np.arange(user.size), actions)
    edges = mix_edges()
    drawn = np.searchsorted(edges.ravel(), rng.random(visit.size) + row[visit], side="right")
    code = drawn - row[visit] * len(ACTIONS)
    steps = np.cumsum(rng.exponential(_SECONDS_BETWEEN * 1000, visit.size))
    first = np.cumsum(actions) - actions
    before = np.concatenate([[0.0], steps])[first]
    ts = opened[visit] + (steps - before[visit]).astype(np.int64) + 500
    item = (rng.random(visit.size) ** 2 * ITEMS).astype(np.int64)
    end = scene.world.start_ms + scene.world.days * DAY_MS - 1
    channel = np.where(on_web, WEB, APP)
    stale = rng.random(user.size) < LOGIN_SHARE
    logins = _log(user[stale], opened[stale], CODE["login"], channel[stale])
    done = _log(user[visit], np.minimum(ts, end), code, channel[visit], _UNSPENT, item)
    return joined([logins, done])


def _opens(rng: np.random.Generator, scene: Scene) -> Log:
    run, day = scene.scatter(rng, scene.rates.emails, scene.rates.busy)
    user = scene.user[run]
    return _log(user, _whole(scene.instants(rng, user, day)), CODE["email_open"], EMAIL)


def _purchases(rng: np.random.Generator, scene: Scene) -> Log:
    run, day = scene.scatter(rng, scene.rates.purchases, scene.rates.buying)
    user, state = scene.user[run], scene.state[run]
    mean = scene.rates.purchase_mean[scene.group[run], state]
    amount = rng.gamma(PURCHASE_SHAPE, mean / PURCHASE_SHAPE)
    ts = _whole(scene.instants(rng, user, day))
    return _log(user, ts, CODE["purchase"], BILLING, _cents(rng, amount), PLAN[state])


def _refunds(rng: np.random.Generator, scene: Scene) -> Log:
    run, day = scene.scatter(rng, scene.rates.refunds)
    user = scene.user[run]
    amount = -_cents(rng, rng.uniform(REFUND_LEAST, REFUND_MOST, user.size))
    ts = _whole(scene.instants(rng, user, day))
    return _log(user, ts, CODE["refund"], BILLING, amount, PLAN[scene.state[run]])


def _troubles(rng: np.random.Generator, scene: Scene) -> Log:
    """More tickets while one is open, more tries while a payment is."""
    run, day = scene.scatter(rng, scene.rates.tickets)
    asker = scene.user[run]
    asked = _whole(scene.instants(rng, asker, day))
    tickets = _log(asker, asked, CODE["support_ticket"], SUPPORT_DESK)  # fmt: skip
    run, day = scene.scatter(rng, scene.rates.retries)
    user, plan = scene.user[run], PLAN[scene.state[run]]
    ts = _at_night(rng, scene, user, day)
    return joined([tickets, _log(user, ts, CODE["payment_failed"], BILLING, _UNSPENT, plan)])


def _payments(rng: np.random.Generator, scene: Scene) -> Log:
    h = scene.history
    plan = PLAN[h.payment_state]
    price = laws_of(scene.world).price[h.payment_day, plan]
    ts = _at_night(rng, scene, h.payment_user, h.payment_day)
    code = np.where(h.payment_failed, CODE["payment_failed"], CODE["payment"])
    amount = np.where(h.payment_failed, np.nan, price)
    return _log(h.payment_user, ts, code, BILLING, amount, plan)


def _happenings(rng: np.random.Generator, scene: Scene) -> Log:
    """The moves that leave an event: silence leaves none, a change of engagement not always."""
    h, laws = scene.history, laws_of(scene.world)
    named = {
        Move.CANCEL: ("cancel", BILLING),
        Move.ENGAGE: ("notifications_on", APP),
        Move.FADE: ("notifications_off", APP),
        Move.TICKET: ("support_ticket", SUPPORT_DESK),
        Move.SOLVED: ("support_solved", SUPPORT_DESK),
        Move.MEND: ("payment", BILLING),
        Move.UPGRADE: ("plan_change", BILLING),
        Move.DOWNGRADE: ("plan_change", BILLING),
    }
    noted = rng.random(h.move.size) < NOTED
    shown = np.where(np.isin(h.move, (Move.ENGAGE, Move.FADE)), noted, True)
    shown &= (h.move != Move.MEND) | (PAYMENT[h.move_state] == 1)
    logs = []
    for move, (event, channel) in named.items():
        rows = np.flatnonzero((h.move == move) & shown)
        user, day = h.move_user[rows], h.move_day[rows]
        plan = PLAN[h.move_state[rows]]
        if event == "plan_change":
            plan = PLAN[laws.target[move, h.move_state[rows]]]
        amount = laws.price[day, plan] if event == "payment" else _UNSPENT
        ts = _whole(scene.instants(rng, user, day))
        detail = plan if channel == BILLING else -1
        logs.append(_log(user, ts, CODE[event], channel, amount, detail))
    return joined(logs)


def _signups(rng: np.random.Generator, scene: Scene) -> Log:
    """The signup and the steps of the tour taken right after it."""
    cast = scene.cast
    user = np.arange(BLOCK_USERS)
    ts = scene.world.start_ms + cast.signup * DAY_MS + cast.signup_ms
    steps = rng.binomial(ONBOARDING_STEPS, ONBOARDED[cast.engagement])
    guest = np.repeat(user, steps)
    later = ts[guest] + rng.integers(20_000, 600_000, guest.size)
    return joined(
        [_log(user, ts, CODE["signup"], WEB), _log(guest, later, CODE["onboarding"], WEB)]
    )


def _campaign(rng: np.random.Generator, scene: Scene) -> Log:
    """To those drawn for it who have joined by the morning and have not left openly; the
    service cannot know who has left silently."""
    world, day = scene.world, scene.world.campaign_day
    if not 0 <= day < world.days:
        nobody = np.zeros(0, np.int64)
        return _log(nobody, nobody, CODE["campaign_sent"], EMAIL)
    state = scene.history.state_at(day)
    there = (scene.cast.treated == 1) & (scene.cast.signup < day) & (state != STATES)
    user = np.flatnonzero(there)
    ts = world.start_ms + day * DAY_MS + 9 * 3_600_000 + rng.integers(0, 3600, user.size) * 1000
    return _log(user, ts, CODE["campaign_sent"], EMAIL)


def _at_night(rng: np.random.Generator, scene: Scene, user: Ints, day: Ints) -> Ints:
    """Billing runs in the first hours of the day; on the day of signup, right after it."""
    ms = rng.integers(0, 4 * 3600, user.size) * 1000
    new = day == scene.cast.signup[user]
    ms = np.where(new, scene.cast.signup_ms[user] + 1000 + ms // 120, ms)
    result: Ints = _whole(scene.world.start_ms + day * DAY_MS + ms)
    return result


def _whole(ts: Ints) -> Ints:
    """Billing, mail and support keep whole seconds."""
    result: Ints = ts // 1000 * 1000
    return result


def _cents(rng: np.random.Generator, amount: Floats) -> Floats:
    """Rounded up or down at random, so that the expected amount stays exact."""
    result: Floats = np.floor(amount * 100 + rng.random(amount.size)) / 100
    return result
