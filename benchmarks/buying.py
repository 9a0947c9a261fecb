"""BG/NBD on a million simulated customers beside lifetimes' fitter, and on ten million alone.

    python -m benchmarks.buying [PYTHON]

PYTHON: an interpreter that has lifetimes 0.11.3 (default: this one; `pip install -e '.[bench]'`).
Each fit runs in a process of its own, turn by turn, the best of each counts; times are from
arrays in memory to the parameters. Peak memory is the system's figure of the process, the
simulation of the chunks included.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from training.buying_simulate import simulate

TRUE = (0.243, 4.414, 0.793, 2.426)
NAMES = ("r", "alpha", "a", "b")
MILLION = 1_000_000
TURNS = 3
OURS = """
import json, os, sys, time
import numpy as np
if sys.argv[2] == "1":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from training.buying_bgnbd import fit_bgnbd
from training.buying_data import Histories
found = np.load(sys.argv[1])
known = Histories(found["frequency"], found["recency"], found["age"])
fit_bgnbd([Histories(*(part[:1000] for part in vars(known).values()))])  # libraries loaded
started = time.perf_counter()
fit = fit_bgnbd([known])
took = time.perf_counter() - started
print(json.dumps({"seconds": took, "values": fit.values, "intervals": fit.interval(0.95)}))
"""
THEIRS = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np, pandas as pd
from lifetimes import BetaGeoFitter
found = np.load(sys.argv[1])
x, t, age = (pd.Series(found[name]) for name in ("frequency", "recency", "age"))
BetaGeoFitter().fit(x[:1000], t[:1000], age[:1000])
started = time.perf_counter()
fit = BetaGeoFitter().fit(x, t, age)
took = time.perf_counter() - started
print(json.dumps({"seconds": took, "values": list(map(float, fit.params_))}))
"""
MANY = """
import json, resource, sys, time
import numpy as np
from training.buying_bgnbd import fit_bgnbd
from training.buying_simulate import simulate
simulated = 0.0
def chunks():
    global simulated
    for seed in range(int(sys.argv[1])):
        started = time.perf_counter()
        ages = np.random.default_rng(seed).uniform(10, 80, 1_000_000)
        if sys.argv[2] == "days":
            known = simulate((0.243, 30.9, 0.793, 2.426), np.floor(ages * 7), 0, seed)
            from training.buying_data import Histories
            known = Histories(known.frequency, np.ceil(known.recency), known.age)
        else:
            known = simulate((0.243, 4.414, 0.793, 2.426), ages, 0, seed)
        simulated += time.perf_counter() - started
        yield known
started = time.perf_counter()
fit = fit_bgnbd(chunks())
print(json.dumps({
    "seconds": time.perf_counter() - started - simulated,
    "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
    "values": fit.values, "intervals": fit.interval(0.95), "customers": fit.customers,
}))
"""
ASKED = """
import json, sys, time
import numpy as np
from training.buying_data import Histories
from training.buying_fit import Fit
from training.buying_predict import Law
from training.buying_spend import Spend
from training.buying_value import value_quantiles
found = np.load(sys.argv[1])
known = Histories(found["frequency"], found["recency"], found["age"])
law, spend = Law(0.243, 4.414, 0.793, 2.426, 0), Spend(known.frequency + 1, known.age)
fit = Fit(("p", "q", "gamma"), (6.25, 3.74, 15.44), (), 0.0, 1, 1)
took = {}
for name, ask in {
    "P(alive)": lambda: law.alive(known),
    "P(silent)": lambda: law.silent(known, 39.0),
    "expected purchases": lambda: law.purchases(known, 39.0),
    "3 quantiles of value": lambda: value_quantiles(
        law, fit, known, spend, 39.0, (0.05, 0.5, 0.95)
    ),
}.items():
    started = time.perf_counter()
    ask()
    took[name] = time.perf_counter() - started
print(json.dumps(took))
"""


def run(python: str, code: str, *arguments: str) -> dict[str, Any]:
    """The JSON a process of its own prints last. Raises RuntimeError with what it said."""
    call = [python, "-c", code, *arguments]
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(call, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-400:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(name: str, found: dict[str, Any], truth: tuple[float, ...]) -> None:
    inside = 0
    for parameter, value, true in zip(NAMES, found["values"], truth, strict=True):
        low, high = found["intervals"][parameter]
        inside += low <= true <= high
        print(f"    {parameter:6} {value:.4f}, 95 % interval {low:.4f} to {high:.4f}, true {true}")
    print(f"  {name}: {inside} of {len(NAMES)} true parameters inside their intervals")


def side_by_side(python: str, path: str) -> None:
    ours, alone, theirs = [], [], []
    for _ in range(TURNS):
        ours.append(run(sys.executable, OURS, path, "all"))
        alone.append(run(sys.executable, OURS, path, "1"))
        theirs.append(run(python, THEIRS, path))
    mine, single, other = (min(f["seconds"] for f in found) for found in (ours, alone, theirs))
    print(f"  lifetimes       {other:7.2f} s")
    print(f"  ours, one core  {single:7.2f} s, {other / single:.1f} times as fast")
    print(f"  ours            {mine:7.2f} s, {other / mine:.1f} times as fast")
    pairs = zip(ours[0]["values"], theirs[0]["values"], strict=True)
    print(
        f"  parameters differ by {max(abs(a / b - 1) for a, b in pairs):.1e} of themselves at most"
    )
    report("1 million", ours[0], TRUE)


def main(python: str = sys.executable) -> None:
    print(f"buying: load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, best of {TURNS}")
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "customers.npz")
        ages = np.random.default_rng(0).uniform(10, 80, MILLION)
        np.savez(path, **vars(simulate(TRUE, ages, 0, 1)))
        side_by_side(python, path)
        for name, seconds in run(sys.executable, ASKED, path).items():
            print(f"  {name:22} {seconds:6.2f} s for 1 million customers")
    for unit, truth in (("weeks", TRUE), ("days", None)):
        found = run(sys.executable, MANY, "10", unit)
        print(
            f"  {found['customers']:,} customers, times in {unit}: {found['seconds']:.1f} s, "
            f"peak {found['peak_gib']:.2f} GiB"
        )
        if truth:
            report("10 million", found, truth)


if __name__ == "__main__":
    main(*sys.argv[1:])
