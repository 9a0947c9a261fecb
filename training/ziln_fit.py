"""Fitting ZILN networks with PyTorch: the loss, early stopping on users left out, bags."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from runtime.device import Device
from training.linear import fit_scaler
from training.metrics import Floats
from training.rows import Rows
from training.ziln import LEAST_SIGMA, MOST_LOGIT, MOST_SIGMA, Held, Ziln, ZilnSpec

Layers = tuple[tuple[Floats, Floats], ...]
TWO = 2


def fit_value(
    spec: ZilnSpec, rows: Rows, relative: Floats, device: Device
) -> tuple[Ziln, ZilnSpec]:
    """The model and the spec with the epochs that were found.

    `relative`: value over its mean, none below 0, some above, shape (n,). What is below 0 in the
    log counts as 0, and is made up for where the sum is scaled (`fitting.relative_value`).
    """
    scaler = fit_scaler(rows.x)
    log = np.log(relative[relative > 0])
    held = Held(float(log.min()), float(log.max()))
    where = torch.device("cuda" if device.kind == "gpu" else "cpu")
    z = torch.as_tensor(scaler(rows.x), dtype=torch.float32, device=where)
    y = torch.as_tensor(relative, dtype=torch.float32, device=where)
    folds = np.unique(rows.fold)
    bags = spec.bags if len(rows) <= spec.all_folds_rows else min(TWO, spec.bags)
    known = spec.epochs or (None,) * bags
    networks, epochs = [], []
    with _repeatable(spec.seed, where):
        for k, wanted in enumerate(known):
            out = torch.as_tensor(rows.fold == folds[k % len(folds)], device=where)
            data = _Data(z, y, out if len(folds) > 1 else torch.zeros_like(out), held)
            network, count = _fit_one(replace(spec, seed=spec.seed + k), data, wanted)
            networks.append(network)
            epochs.append(count)
    return Ziln(scaler, tuple(networks), held), replace(spec, epochs=tuple(epochs))


def loss(raw: Tensor, y: Tensor, held: Held) -> Tensor:
    """Negative log-likelihood of each row, shape (n,), of outputs (n, 3) and relative value (n,).

    Cross-entropy of buying, and for buyers that of the lognormal less what no parameter changes.
    Wang et al. 2019, eq. 3. The floors are those of `ziln.floored`.
    """
    logit, mu, sigma = floored(raw, held)
    bought = (y > 0).to(raw.dtype)
    log = torch.log(torch.where(y > 0, y, torch.ones_like(y)))
    positive = torch.log(sigma) + 0.5 * ((log - mu) / sigma) ** 2
    crossed = functional.binary_cross_entropy_with_logits(logit, bought, reduction="none")
    return crossed + bought * positive


def floored(raw: Tensor, held: Held) -> tuple[Tensor, Tensor, Tensor]:
    """`ziln.floored` with tensors. The gradient passes the ends, so that who is beyond can come
    back."""
    logit = _held(raw[:, 0], -MOST_LOGIT, MOST_LOGIT)
    mu = _held(raw[:, 1], held.least_mu, held.most_mu)
    sigma = LEAST_SIGMA + (MOST_SIGMA - LEAST_SIGMA) * torch.sigmoid(raw[:, 2])
    return logit, mu, sigma


def _held(raw: Tensor, least: float, most: float) -> Tensor:
    return raw + (raw.clamp(least, most) - raw).detach()


@dataclass(frozen=True)
class _Data:
    """Scaled inputs (n, d), relative value (n,), and which rows are left out (n,)."""

    z: Tensor
    y: Tensor
    out: Tensor
    held: Held


@contextmanager
def _repeatable(seed: int, where: torch.device) -> Iterator[None]:
    """Numbers drawn from the seed, sums shared out over one thread; afterwards all as it was."""
    threads = torch.get_num_threads()
    devices = [where] if where.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _fit_one(spec: ZilnSpec, data: _Data, epochs: int | None) -> tuple[Layers, int]:
    """The layers after the best epoch (0: the start was best), and its number; with `epochs`, after
    that many."""
    torch.manual_seed(spec.seed)
    model = _network(spec, data)
    inside, outside = (~data.out).nonzero()[:, 0], data.out.nonzero()[:, 0]
    batch = max(16, min(spec.batch, len(inside) // 20))
    optimizer = torch.optim.AdamW(model.parameters(), lr=spec.rate, weight_decay=spec.decay)
    if epochs is None and not len(outside):
        epochs = spec.patience
    kept, found = _layers(model), 0
    best = np.inf if epochs is not None else _mean_loss(model, data, outside)
    for epoch in range(1, (spec.most_epochs if epochs is None else epochs) + 1):
        _one_epoch(model, optimizer, data, inside, batch, spec.steps_a_epoch)
        if epochs is not None:
            kept, found = _layers(model), epoch
            continue
        now = _mean_loss(model, data, outside)
        if now < best:
            best, kept, found = now, _layers(model), epoch
        elif epoch - found >= spec.patience:
            break
    return kept, found


def _one_epoch(
    model: nn.Sequential,
    optimizer: torch.optim.Optimizer,
    data: _Data,
    inside: Tensor,
    batch: int,
    most: int,
) -> None:
    model.train()
    order = inside[torch.randperm(len(inside)).to(inside.device)]
    for rows in torch.split(order, batch)[:most]:
        optimizer.zero_grad()
        loss(model(data.z[rows]), data.y[rows], data.held).mean().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


@torch.no_grad()
def _mean_loss(model: nn.Sequential, data: _Data, rows: Tensor) -> float:
    model.eval()
    return float(loss(model(data.z[rows]), data.y[rows], data.held).double().mean())


def _network(spec: ZilnSpec, data: _Data) -> nn.Sequential:
    """Begins at the same parameters for everyone: those of the rows it learns from."""
    sizes = (data.z.shape[1], *spec.hidden)
    parts: list[nn.Module] = []
    for wide, narrow in pairwise(sizes):
        parts += [nn.Linear(wide, narrow), nn.ReLU(), nn.Dropout(spec.dropout)]
    last = nn.Linear(sizes[-1], 3)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(_start(data.y[~data.out]))
    return nn.Sequential(*parts, last).to(data.z.device)


def _start(y: Tensor) -> Tensor:
    """Outputs of the network that tells no one from another."""
    share = ((y > 0).sum() + 1) / (len(y) + 2)
    log = torch.log(y[y > 0]) if (y > 0).any() else torch.zeros(1, device=y.device)
    sigma = log.std(unbiased=False).clamp(2 * LEAST_SIGMA, MOST_SIGMA - LEAST_SIGMA)
    part = (sigma - LEAST_SIGMA) / (MOST_SIGMA - LEAST_SIGMA)
    return torch.stack([torch.logit(share), log.mean(), torch.logit(part)])


def _layers(model: nn.Sequential) -> Layers:
    """In numbers of 64 bits on the CPU; dropout only acts while fitting."""
    linear = [part for part in model if isinstance(part, nn.Linear)]
    return tuple((_plain(one.weight), _plain(one.bias)) for one in linear)


def _plain(weight: Tensor) -> Floats:
    return np.array(weight.detach().cpu().double().numpy())
