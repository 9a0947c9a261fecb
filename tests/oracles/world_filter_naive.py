"""The filter of the synthetic world as written down: one user, all states, a density a factor."""

from __future__ import annotations

import numpy as np
from scipy import stats

from events.synthetic_laws import (
    GROUPS,
    PAYMENT,
    PAYMENT_EVERY_DAYS,
    PLAN,
    PURSE,
    RESPONSE,
    STATES,
    TEMPERAMENT,
    TREATED,
    Move,
    laws_of,
    state_of,
)
from events.synthetic_rates import (
    ACTIONS,
    LOGIN_SHARE,
    NOTED,
    ONBOARDED,
    ONBOARDING_STEPS,
    PURCHASE_SHAPE,
    mix_edges,
    mix_row,
    rates_of,
)
from events.synthetic_scene import BILLING, CODE, Log
from events.synthetic_world import (
    DAY_MS,
    ENGAGEMENT_BY_TEMPERAMENT,
    LAVISH_BY_COUNTRY,
    PLAN_BY_PURSE,
    RESPONSE_BY_TEMPERAMENT,
    TEMPERAMENT_BY_ACQUISITION,
    Cast,
    Floats,
    World,
)

GONE = STATES
G, S = np.arange(GROUPS)[:, None], np.arange(STATES)[None, :]
TARGETS = {Move.SILENT: np.full(STATES, GONE), None: np.arange(STATES)}


def posterior(world: World, log: Log, cast: Cast, user: int, day: int) -> Floats:
    """(GROUPS, STATES and gone) on the morning of `day`, of one who has not cancelled."""
    log = log.take((log.user == user) & (log.ts < world.start_ms + day * DAY_MS))
    log = log.take(np.argsort(log.ts, kind="stable"))
    weight = _prior(world, log, cast, user, day)
    for d in range(cast.signup[user], day):
        today = log.take((log.ts - world.start_ms) // DAY_MS == d)
        count = {name: int((today.code == code).sum()) for name, code in CODE.items()}
        tried = (d - cast.signup[user]) % PAYMENT_EVERY_DAYS == 0
        if tried:
            weight, count = _pay(world, weight, count)
        weight[:, :STATES] *= _acts(world, today, count, d)
        if len(today.ts) > count["signup"] + count["onboarding"] + count["campaign_sent"]:
            weight[:, GONE] = 0
        weight = _move(world, weight, today, count, d)
        weight /= weight.sum()
    return weight


def _prior(world: World, log: Log, cast: Cast, user: int, day: int) -> Floats:
    steps = int((log.code == CODE["onboarding"]).sum())
    sent = bool((log.code == CODE["campaign_sent"]).any())
    told = cast.signup[user] < world.campaign_day < day
    weight = np.zeros((GROUPS, STATES + 1))
    for group in range(GROUPS):
        t, u, r = TEMPERAMENT[group], PURSE[group], RESPONSE[group]
        chance = TEMPERAMENT_BY_ACQUISITION[cast.acquisition[user]][t]
        lavish = LAVISH_BY_COUNTRY[cast.country[user]]
        chance *= lavish if u else 1 - lavish
        chance *= PLAN_BY_PURSE[u][cast.plan[user]] * RESPONSE_BY_TEMPERAMENT[t][r]
        share = world.treated_share if TREATED[group] else 1 - world.treated_share
        chance *= (sent == TREATED[group]) if told else share
        for level, of in enumerate(ENGAGEMENT_BY_TEMPERAMENT[t]):
            state = int(state_of(np.array(level), np.array(cast.plan[user])))
            toured = stats.binom.pmf(steps, ONBOARDING_STEPS, ONBOARDED[level])
            weight[group, state] = chance * of * toured
    return weight


def _pay(world: World, weight: Floats, count: dict[str, int]) -> tuple[Floats, dict[str, int]]:
    """After the payment that was due, and what the day shows beside it."""
    laws, after = laws_of(world), np.zeros_like(weight)
    if count["payment_failed"]:
        for state in range(STATES):
            after[:, laws.failed[state]] += weight[:, state] * laws.payment_fails[state]
        return after, {**count, "payment_failed": count["payment_failed"] - 1}
    if count["payment"]:
        for state in range(STATES):
            after[:, laws.paid[state]] += weight[:, state] * (1 - laws.payment_fails[state])
        return after, {**count, "payment": count["payment"] - 1}
    after[:, GONE] = weight[:, GONE]
    return after, count


def _acts(world: World, today: Log, count: dict[str, int], d: int) -> Floats:
    """Likelihood by (GROUPS, STATES) of all but what a move may have shown."""
    rates = rates_of(world)
    visits, logins = _visits(today)
    likely = stats.poisson.pmf(len(visits), rates.visits * rates.busy[d])
    likely *= stats.binom.pmf(logins, len(visits), LOGIN_SHARE)
    edges = mix_edges() - np.arange(len(mix_edges()))[:, None]
    shares = np.diff(edges, axis=1, prepend=0.0)[mix_row(G, S)]
    for actions in visits:
        likely *= stats.geom.pmf(len(actions), 1 / rates.actions)
        for action in actions:
            likely *= shares[..., action]
    likely *= stats.poisson.pmf(count["email_open"], rates.emails * rates.busy[d])
    likely *= stats.poisson.pmf(count["purchase"], rates.purchases * rates.buying[d])
    for amount in today.amount[today.code == CODE["purchase"]]:
        scale = rates.purchase_mean / PURCHASE_SHAPE
        likely *= stats.gamma.pdf(amount, PURCHASE_SHAPE, scale=scale)
    likely *= stats.poisson.pmf(count["refund"], rates.refunds)
    likely *= stats.poisson.pmf(count["payment_failed"], rates.retries)
    billed = (today.channel == BILLING) & (today.code != CODE["plan_change"])
    for plan in today.detail[billed]:
        likely *= plan == PLAN
    return likely


def _visits(today: Log) -> tuple[list[list[int]], int]:
    """The actions of each visit, and how many visits began with a login."""
    visits: list[list[int]] = []
    logins = 0
    for channel in (0, 1):
        last = -np.inf
        for ts, code, on in zip(today.ts, today.code, today.channel, strict=True):
            login = code == CODE["login"]
            if on != channel or not (login or code < len(ACTIONS)):
                continue
            if login or ts - last > 300_000:
                visits.append([])
                logins += login
            if not login:
                visits[-1].append(int(code))
            last = ts
    return visits, logins


def _move(world: World, weight: Floats, today: Log, count: dict[str, int], d: int) -> Floats:
    """What the move, or none, shows, by state: a sum over all moves."""
    laws, chances = laws_of(world), laws_of(world).moves_on(d)
    plans = today.detail[today.code == CODE["plan_change"]]
    after = np.zeros_like(weight)
    after[:, GONE] = weight[:, GONE]
    for move in (None, *Move):
        if move == Move.CANCEL:
            continue
        chance = 1 - chances.sum(axis=2) if move is None else chances[:, :, move]
        target = TARGETS[move] if move in TARGETS else laws.target[move]
        fits = (count["support_solved"] == (move == Move.SOLVED)) * np.ones(STATES)
        mended = (PAYMENT == 1) & (move == Move.MEND)
        fits *= count["payment"] == mended
        for wanted, event in (
            (Move.ENGAGE, "notifications_on"),
            (Move.FADE, "notifications_off"),
        ):
            if move == wanted:
                fits *= NOTED if count[event] else 1 - NOTED
            else:
                fits *= count[event] == 0
        changes = move in (Move.UPGRADE, Move.DOWNGRADE)
        fits *= len(plans) == changes
        if changes and len(plans):
            fits *= PLAN[target] == plans[0]
        more = count["support_ticket"] - (move == Move.TICKET)
        likely = fits * stats.poisson.pmf(more, rates_of(world).tickets) * chance
        np.add.at(after.T, target, (weight[:, :STATES] * likely).T)
    return after
