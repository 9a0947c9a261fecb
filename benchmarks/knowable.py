"""How near to the oracle of the synthetic world any model can come: what its log tells at all.

    python -m benchmarks.knowable [--users N] [--models] [SEED …]

The oracle knows the hidden state. The filter knows every law of the world and of a user what the
log says before the cutoff, no more; its forecast is the oracle's, averaged over the states and
classes that are still possible, so it is the best that can be made of the log. The rows are the
test rows of `oracle_gap`, outcomes from the ingested files; the filter reads the log without the
faults that are planted there. Three more forecasters divide what is missing: the filter told the
true purse, the true class, or the true state. `--models`: "auto" on the same rows. Differences
with 95 % intervals over users (paired bootstrap).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.oracle_gap import (
    MEASURED,
    USERS,
    Found,
    Ready,
    auc,
    difference,
    gini,
    ready_world,
    tested,
    with_models,
)
from benchmarks.world_evidence import evidence
from benchmarks.world_filter import Belief, believed
from events.synthetic_hidden import simulate
from events.synthetic_laws import GROUPS, PAYMENT_EVERY_DAYS, PURSE, STATES
from events.synthetic_log import block_log
from events.synthetic_oracle import CHURN, VALUE, outlook
from events.synthetic_world import BLOCK_USERS, Flags, Floats, Ints, World, draw_cast
from training.metrics import churn_metrics

FILTER = "filter"
PURSE_TOLD, CLASS_TOLD, STATE_TOLD = (
    f"{FILTER} and true {what}" for what in ("purse", "class", "state")
)


def forecasts(
    world: World, day: int, horizons: tuple[int, int, int], users: Ints
) -> dict[str, Floats]:
    """What the filter makes of the log on the morning of `day`, for users by number, rising:
    (churn, value) by forecaster, (n, 2)."""
    promise = outlook(world, day, *horizons)
    parts = [_of_block(world, day, promise, block, mine) for block, mine in _by_block(users)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _by_block(users: Ints) -> Iterator[tuple[int, Ints]]:
    assert (np.diff(users) > 0).all()
    for block in np.unique(users // BLOCK_USERS).tolist():
        yield block, users[users // BLOCK_USERS == block] % BLOCK_USERS


def _of_block(
    world: World, day: int, promise: Floats, block: int, users: Ints
) -> dict[str, Floats]:
    """Who has cancelled can promise nothing; the log says so. A few of them are scored, since they
    came again later on the day that they cancelled."""
    cast = draw_cast(world, block)
    seen = evidence(world, block_log(world, block)[0], cast, users, day)
    at = np.flatnonzero(seen.total("cancel") == 0)
    belief, group = believed(world, seen.take(at), day), cast.group[users[at]]
    phase = cast.signup[users[at]] % PAYMENT_EVERY_DAYS
    promised = promise[belief.states, :, :, phase[:, None]]  # (n, INFERRED, 2, GROUPS)
    state = simulate(world, cast, block).state_at(day)[users[at]]
    said = {
        FILTER: np.einsum("ngs,nscg->nc", belief.weight, promised),
        PURSE_TOLD: told_groups(belief, promised, PURSE[group][:, None] == PURSE),
        CLASS_TOLD: told_groups(belief, promised, np.arange(GROUPS) == group[:, None]),
        STATE_TOLD: told_state(belief, promised, state),
    }
    result = {name: np.zeros((users.size, 2)) for name in said}
    for name, promises in said.items():
        result[name][at] = promises
    return result


def told_groups(belief: Belief, promised: Floats, possible: Flags) -> Floats:
    """`possible`: the groups of classes that it is told, (n, GROUPS)."""
    weight = belief.weight * possible[:, :, None]
    total = weight.sum(axis=(1, 2)) + (belief.gone * possible).sum(axis=1)
    result: Floats = np.einsum("ngs,nscg->nc", weight, promised) / total[:, None]
    return result


def told_state(belief: Belief, promised: Floats, state: Ints) -> Floats:
    """Those who are gone promise nothing, whatever their class."""
    result = np.zeros((state.size, 2))
    row = np.flatnonzero(state < STATES)
    place = (belief.states[row] == state[row, None]).argmax(axis=1)
    weight = belief.weight[row, :, place]
    hoped = np.einsum("ng,ncg->nc", weight, promised[row, place])
    result[row] = hoped / weight.sum(axis=1, keepdims=True)
    return result


def with_filter(found: Found, ready: Ready) -> Found:
    """`found` with what can be known."""
    number = np.array([int(name[1:]) for name in found.users])
    order = np.argsort(number)
    probability, expected = dict(found.probability), dict(found.expected)
    for name, said in forecasts(ready.world, ready.day, ready.horizons, number[order]).items():
        back = np.empty_like(said)
        back[order] = said
        probability[name], expected[name] = back[:, CHURN], back[:, VALUE]
    return replace(found, probability=probability, expected=expected)


def one_world(seed: int, users: int, models: bool) -> Found:
    with tempfile.TemporaryDirectory() as folder:
        ready = ready_world(World(users=users, seed=seed), Path(folder))
        found = with_filter(tested(ready), ready)
        return with_models(found, ready.prepared) if models else found


def show(seed: int, found: Found, seconds: float) -> None:
    ones, p, v = np.ones(len(found.churn)), found.probability, found.expected
    print(f"\n### seed {seed}: {len(found.churn):,} users, {seconds:.0f} s\n")
    print("| forecaster | AUC | below the oracle | log loss | value Gini | of the oracle's |")
    print("|---|---:|---:|---:|---:|---:|")
    best, most = auc(found.churn, p["oracle"], ones), gini(found.value, v["oracle"], ones)
    for name in p:
        marks = [t for t, c in zip(("churn", "value"), found.chosen, strict=False) if c == name]
        title = f"{name} (chosen for {', '.join(marks)})" if marks else name
        here, worth = auc(found.churn, p[name], ones), gini(found.value, v[name], ones)
        loss = float(churn_metrics(found.churn, p[name], ones)["log_loss"])
        print(
            f"| {title} | {here:.2f} | {best - here:.2f} | {loss:.4f} | {worth:.2f} "
            f"| {worth / most:.1%} |"
        )
    print(f"\nfilter less oracle, AUC: {difference(auc, found.churn, p[FILTER], p['oracle'])}")
    print(f"filter less oracle, Gini: {difference(gini, found.value, v[FILTER], v['oracle'])}")
    if found.chosen:
        mine = difference(auc, found.churn, p[MEASURED], p[FILTER])
        money = difference(gini, found.value, v[MEASURED], v[FILTER])
        print(f"{MEASURED}, less filter, AUC: {mine}")
        print(f"{MEASURED}, less filter, Gini: {money}")
    _check(found)


def _check(found: Found) -> None:
    """The filter's forecast is the oracle's mean over what the log cannot tell apart."""
    for title, said, real in (
        ("churn", found.probability, found.churn),
        ("value", found.expected, found.value),
    ):
        known, best = said[FILTER].mean(), said["oracle"].mean()
        print(f"mean {title}: filter {known:.4f}, oracle {best:.4f}, outcome {real.mean():.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--models", action="store_true")
    parser.add_argument("seeds", type=int, nargs="*", default=list(range(3)))
    asked = parser.parse_args()
    for seed in asked.seeds:
        start = time.monotonic()
        found = one_world(seed, asked.users, asked.models)
        show(seed, found, time.monotonic() - start)


if __name__ == "__main__":
    main()
