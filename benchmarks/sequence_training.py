"""Training on sequences: events a second beside pytorch-lifestream and beside plain PyTorch.

    python -m benchmarks.sequence_training [PYTHON [SECONDS]]

PYTHON is one in which pytorch-lifestream 0.7 is installed (from its source package, with a CPU
torch 2.13); without it, its rows are left out. All run on two threads, each in a process of its
own, by turns, and of each the best turn counts: others use the machine too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.sequence_clock import Clock
from benchmarks.sequence_world import CHANNELS, KINDS, auc, save
from features.sequence_files import map_batches, write_batches
from training.encoders import DEFAULT, ENCODERS, Encoder, encoder
from training.memory import keep_freed_memory
from training.ragged import Ragged, tensors
from training.sequence_batches import Batches, Slices
from training.sequence_inputs import COLUMNS, Inputs

USERS, CHECKED, TURNS = 20_000, 4_000, 3
RIVAL, FLOOR, RACING = "pytorch-lifestream", "floor", (DEFAULT, "gru")
CLOCKS = ("seconds", "cpu_seconds")
BUDGET = 65_536  # events a batch
SETTINGS: dict[str, Any] = {
    "batch": 128,
    "width": 64,
    "rate": 0.003,
    "threads": 2,
    "seed": 0,
    "epochs": 100,
    "warm": 2,
    "goal": 1.0,
}
SPEED = SETTINGS | {"check": 22, "score": False, "seconds": 0.0}
RACE = SETTINGS | {"check": 20, "score": True}


class Model(nn.Module):
    """The log-odds of the label, shape (n_sequences,)."""

    def __init__(self, encoded: Encoder) -> None:
        super().__init__()
        self.encoder = encoded
        self.head = nn.Linear(encoded.width, 1)

    def forward(self, events: Ragged) -> Tensor:
        scores: Tensor = self.head(self.encoder.summary(events))[:, 0]
        return scores


class Padded(nn.Module):
    """The floor: the inputs and `nn.GRU` over a padded batch; over a packed one it takes ten times
    as long."""

    def __init__(self, inputs: Inputs, width: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.gru = nn.GRU(inputs.width, width, batch_first=True)
        self.head = nn.Linear(width, 1)

    def forward(self, columns: dict[str, Tensor], lengths: Tensor) -> Tensor:
        flat = {name: values.reshape(-1) for name, values in columns.items()}
        seen = self.inputs.of(flat).view(*columns["kind"].shape, -1)
        states, _ = self.gru(seen)
        odds: Tensor = self.head(states[torch.arange(len(lengths)), lengths - 1])[:, 0]
        return odds


def opened(path: Path) -> tuple[dict[str, Tensor], Slices, Tensor]:
    """The arrays, mapped from a file as the store has them, the slices and the labels."""
    data = np.load(path)
    file = path.with_suffix(".arrow")
    if not file.exists():
        arrays = {name: data[name] for name in COLUMNS}
        write_batches(file, {name: a.dtype for name, a in arrays.items()}, [arrays])
    offsets = data["offsets"]
    slices = Slices(np.zeros(len(offsets) - 1, np.int64), offsets[:-1], offsets[1:])
    return tensors(map_batches(file)[0]), slices, torch.from_numpy(data["label"]).float()


def inputs_of(arrays: dict[str, Tensor]) -> Inputs:
    inputs = Inputs(KINDS - 1, CHANNELS - 2)
    inputs.learn(Ragged(arrays, torch.tensor([0, len(arrays["kind"])])))
    return inputs


def ours(folder: Path, name: str, settings: dict[str, Any]) -> tuple[nn.Module, Iterator[Any]]:
    arrays, slices, labels = opened(folder / "train.npz")
    model = Model(encoder(name, inputs_of(arrays), settings["width"]))
    batches = Batches(
        [arrays],
        slices,
        BUDGET,
        settings["seed"],
        sequences=settings["batch"],
        similar=True,
    )
    return model, (((b.events,), labels[b.rows], len(b.events.owners)) for b in batches.run())


def floor(folder: Path, settings: dict[str, Any]) -> tuple[nn.Module, Iterator[Any]]:
    """Batches sorted by length, padded and in memory before the clock starts; in random order."""
    arrays, slices, labels = opened(folder / "train.npz")
    model = Padded(inputs_of(arrays), settings["width"])
    rows = np.argsort(-slices.lengths, kind="stable")
    source = Batches([arrays], slices, 1, 0)
    held = []
    for begin in range(0, len(rows), settings["batch"]):
        mine, events = source.gather(rows[begin : begin + settings["batch"]])
        columns, _ = events.padded()
        held.append(((columns, events.lengths), labels[mine], int(events.lengths.sum())))
    order = np.random.default_rng(settings["seed"])
    return model, (held[k] for _ in range(100) for k in order.permutation(len(held)))


def checker(folder: Path) -> Callable[[nn.Module], float]:
    arrays, slices, labels = opened(folder / "valid.npz")
    batches = list(Batches([arrays], slices, 20_000, 0).in_order())

    def check(model: nn.Module) -> float:
        with torch.no_grad():
            scores = torch.cat([model(batch.events) for batch in batches])
        rows = torch.cat([batch.rows for batch in batches])
        return auc(labels[rows].numpy(), scores.numpy())

    return check


def contend(folder: Path, name: str, settings: dict[str, Any]) -> None:
    """Trains until the time is up, and prints a JSON object a check, with the clock stopped."""
    torch.set_num_threads(settings["threads"])
    torch.manual_seed(settings["seed"])
    if name in ENCODERS:
        keep_freed_memory()
    model, batches = ours(folder, name, settings) if name in ENCODERS else floor(folder, settings)
    check = checker(folder) if settings["score"] else None
    optimizer = torch.optim.Adam(model.parameters(), lr=settings["rate"])
    loss = nn.BCEWithLogitsLoss()
    clock, events = Clock(), 0
    for step, (given, labels, size) in enumerate(batches, 1):
        optimizer.zero_grad()
        loss(model(*given), labels).backward()
        optimizer.step()
        events += size
        if step == settings["warm"]:
            clock, events = Clock(), 0
        if step % settings["check"]:
            continue
        clock.stop()
        found = {"events": events, "step": step, **clock.read()}
        found |= {"auc": check(model)} if check else {}
        print(json.dumps(found), flush=True)
        if clock.seconds > settings["seconds"] or found.get("auc", 0.0) >= settings["goal"]:
            return
        clock.go_on()


def run(command: list[str], folder: Path, settings: dict[str, Any]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [*command, str(folder), json.dumps(settings)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"},
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def speeds(folder: Path, commands: dict[str, list[str]]) -> dict[str, list[float]]:
    """Events a second, on the wall and of processor time, of the best turn each."""
    found = {name: [0.0, 0.0] for name in commands}
    for _ in range(TURNS):
        for name, command in commands.items():
            (turn,) = run(command, folder, SPEED)
            for place, clock in enumerate(CLOCKS):
                found[name][place] = max(found[name][place], turn["events"] / turn[clock])
    return found


def table(found: dict[str, list[float]]) -> None:
    floors = found[FLOOR]
    rival = found.get(RIVAL, [float("nan")] * 2)
    print("                          events/s, x rival, x floor;  by processor time: the same")
    for name, pair in found.items():
        told = (
            f"{s:9,.0f} {s / r:6.1f} {s / f:6.2f}"
            for s, r, f in zip(pair, rival, floors, strict=True)
        )
        print(f"    {name:18} {'; '.join(told)}", flush=True)


def first_at(curve: list[dict[str, Any]], goal: float) -> dict[str, Any] | None:
    return next((point for point in curve if point["auc"] >= goal), None)


def race(folder: Path, rival: list[str], mine: dict[str, list[str]], seconds: float) -> None:
    """Each to the best AUC that the other library comes to within the seconds."""
    curve = run(rival, folder, RACE | {"seconds": seconds})
    goal = max(point["auc"] for point in curve)
    theirs = first_at(curve, goal) or curve[-1]
    print(f"  to AUC {goal:.4f}")
    print(
        f"    {RIVAL:18} {theirs['seconds']:7.1f} s, {theirs['cpu_seconds']:7.1f} s processor time"
    )
    for name, command in mine.items():
        took = first_at(run(command, folder, RACE | {"seconds": seconds, "goal": goal}), goal)
        told = "not reached"
        if took:
            told = "; ".join(f"{took[c]:7.1f} s, {theirs[c] / took[c]:5.1f} times" for c in CLOCKS)
        print(f"    {name:18} {told}", flush=True)


def main(python: str | None = None, seconds: str = "240") -> None:
    here = [sys.executable, "-m", "benchmarks.sequence_training", "contend"]
    names = [*ENCODERS, FLOOR]
    commands = {name: [*here, name] for name in names}
    rival = [python, str(Path(__file__).with_name("sequence_rival.py"))] if python else None
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        save(folder / "train.npz", USERS, 1)
        save(folder / "valid.npz", CHECKED, 2)
        opened(folder / "train.npz"), opened(folder / "valid.npz")
        print(
            f"{USERS:,} users, batches of {SETTINGS['batch']}, {SETTINGS['width']} wide, 2 threads"
        )
        print(f"  load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        table(speeds(folder, commands | ({RIVAL: rival} if rival else {})))
        if rival:
            race(folder, rival, {name: commands[name] for name in RACING}, float(seconds))


if __name__ == "__main__":
    if sys.argv[1:2] == ["contend"]:
        contend(Path(sys.argv[3]), sys.argv[2], json.loads(sys.argv[4]))
    else:
        main(*sys.argv[1:])
