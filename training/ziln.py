"""A ZILN network: value is 0 or lognormal, with all three parameters from a small network.

Wang, Liu & Miao 2019, "A deep probabilistic model for customer lifetime value prediction". The
network is fitted by PyTorch (`ziln_fit`) and asked with NumPy: its weights are plain arrays.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from training import held_arrays
from training.linear import Scaler
from training.metrics import Floats
from training.rows import Matrix
from training.spread import LEVELS, Spread, of_quantiles, with_zeros

LEAST_SIGMA, MOST_SIGMA = 0.05, 2.5
MOST_LOGIT = 15.0
ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class ZilnSpec:
    """`epochs`: passes over the data of each network; None: as many as are best on the fold that
    it does not learn from. One network is fitted for each fold of users, at most `bags`."""

    epochs: tuple[int, ...] | None = None
    hidden: tuple[int, ...] = (64, 32)
    rate: float = 2e-3
    decay: float = 1e-2
    dropout: float = 0.2
    batch: int = 512
    steps_a_epoch: int = 400  # an epoch of a larger log is this many batches
    most_epochs: int = 60
    patience: int = 8
    bags: int = 5
    all_folds_rows: int = 50_000  # with more rows two networks are enough
    seed: int = 0


@dataclass(frozen=True)
class Held:
    """Where mu, the mean of log(value), is held: between the logs of the least and the greatest
    positive value that was fitted on. Each floor is the same in the loss and in the prediction."""

    least_mu: float
    most_mu: float


@dataclass(frozen=True)
class Parameters:
    """P(value > 0), and mean and standard deviation of log(value) where positive, each (n,)."""

    probability: Floats
    mu: Floats
    sigma: Floats

    def mean(self) -> Floats:
        """p exp(mu + sigma^2 / 2), shape (n,). Wang et al. 2019, eq. 5."""
        return np.asarray(self.probability * np.exp(self.mu + self.sigma**2 / 2))

    def quantile(self, level: float) -> Floats:
        """0 for levels up to 1 - p, else exp(mu + sigma z((level - 1 + p) / p)), shape (n,)."""
        from scipy.special import ndtri

        def positive(inner: Floats) -> Floats:
            return np.asarray(self.mu + self.sigma * ndtri(inner))

        return with_zeros(self.probability, level, positive)

    def median(self) -> Floats:
        """Shape (n,); 0 for whom not buying is as likely as buying."""
        return self.quantile(0.5)


@dataclass(frozen=True)
class Ziln:
    """`networks`: for each its layers, as weights (out, in) and biases (out,). Their outputs are
    averaged before the floors, so that the whole stays a ZILN."""

    scaler: Scaler
    networks: tuple[tuple[tuple[Floats, Floats], ...], ...]
    held: Held

    SUFFIX: ClassVar[str] = ".ziln.npz"

    def parameters(self, x: Matrix) -> Parameters:
        """Of relative value, which is as `fit_value` got it."""
        blocks = range(0, max(len(x), 1), ROWS_AT_ONCE)
        raw = np.concatenate([self._raw(x[at : at + ROWS_AT_ONCE]) for at in blocks])
        logit, mu, sigma = floored(raw, self.held)
        return Parameters(1 / (1 + np.exp(-logit)), mu, sigma)

    def spread(self, x: Matrix, levels: tuple[float, ...] = LEVELS) -> Spread:
        """In units of relative value. What was below 0 counts as 0: no quantile is below 0."""
        found = self.parameters(x)
        return of_quantiles(found.mean(), levels, found.quantile)

    def margin(self, x: Matrix) -> Floats:
        """The log of the mean relative value, shape (n,)."""
        return np.asarray(np.log(self.parameters(x).mean()))

    def save(self, path: Path) -> None:
        """NumPy's own format without pickles: the arrays, and the rest as JSON."""
        header = {"scaler": asdict(self.scaler), "held": asdict(self.held)}
        layers = {"layers": [len(network) for network in self.networks]}
        arrays = {
            f"{name}_{k}_{j}": array
            for k, network in enumerate(self.networks)
            for j, layer in enumerate(network)
            for name, array in zip(("weight", "bias"), layer, strict=True)
        }
        held_arrays.write(path, "ziln", header | layers, arrays)

    @classmethod
    def load(cls, path: Path) -> Ziln:
        """Raises ModelError where the file is not one that `save` wrote."""
        header, arrays = held_arrays.read(path, "ziln")
        networks = tuple(
            tuple((arrays[f"weight_{k}_{j}"], arrays[f"bias_{k}_{j}"]) for j in range(layers))
            for k, layers in enumerate(header["layers"])
        )
        scaler = Scaler(**{name: tuple(each) for name, each in header["scaler"].items()})
        return cls(scaler, networks, Held(**header["held"]))

    def _raw(self, x: Matrix) -> Floats:
        z = self.scaler(x)
        return np.asarray(np.mean([_forward(network, z) for network in self.networks], axis=0))


def _forward(network: tuple[tuple[Floats, Floats], ...], z: Floats) -> Floats:
    for weight, bias in network[:-1]:
        z = np.maximum(z @ weight.T + bias, 0.0)
    weight, bias = network[-1]
    return np.asarray(z @ weight.T + bias)


def floored(raw: Floats, held: Held) -> tuple[Floats, Floats, Floats]:
    """Logit, mu and sigma, each (n,), of the network's outputs (n, 3). `ziln_fit.loss` does the
    same with tensors."""
    logit = np.clip(raw[:, 0], -MOST_LOGIT, MOST_LOGIT)
    mu = np.clip(raw[:, 1], held.least_mu, held.most_mu)
    sigma = LEAST_SIGMA + (MOST_SIGMA - LEAST_SIGMA) / (1 + np.exp(-raw[:, 2]))
    return logit, mu, sigma
