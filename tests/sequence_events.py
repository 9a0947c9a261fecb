"""Events as the sequences' arrays hold them, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from training.ragged import Columns, Ragged

KINDS, CHANNELS = 4, 2  # with a name


def columns(n: int, seed: int) -> Columns:
    """n rows of every array a model reads, some gaps and amounts missing."""
    draw = np.random.default_rng(seed)
    missing = draw.random((2, n)) < 0.3
    gap, amount = np.exp(draw.normal(8, 2, n)), draw.normal(0, 50, n)
    found = {
        "kind": draw.integers(0, KINDS + 1, n).astype(np.int16),
        "channel": draw.integers(0, CHANNELS + 2, n).astype(np.int16),
        "gap": np.where(missing[0], np.nan, gap).astype(np.float32),
        "amount": np.where(missing[1], np.nan, amount).astype(np.float32),
        "hour": draw.integers(0, 24, n).astype(np.int8),
        "weekday": draw.integers(0, 7, n).astype(np.int8),
    }
    return {name: torch.from_numpy(values) for name, values in found.items()}


def batch(lengths: Sequence[int], seed: int = 0) -> Ragged:
    """Sequences of such rows; of each the first event has no gap."""
    offsets = torch.tensor([0, *lengths], dtype=torch.int64).cumsum(0)
    values = dict(columns(int(offsets[-1]), seed))
    values["gap"] = values["gap"].nan_to_num(60.0)
    values["gap"][offsets[:-1][offsets.diff() > 0]] = float("nan")
    return Ragged(values, offsets)
