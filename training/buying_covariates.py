"""BG/NBD and MBG/NBD with what is known of customers from the start (Fader & Hardie 2007,
"Incorporating time-invariant covariates into the Pareto/NBD and BG/NBD models").

Each customer has parameters of their own,

    alpha_i = alpha exp(-rate . z_i)       who buys more often has the smaller alpha
    a_i = a exp(a . w_i)   b_i = b exp(b . w_i)

and r is everyone's. The likelihood is differentiated by PyTorch, a customer's four logarithms of
parameters at a time: they are linear in the coefficients, so gradient and Hessian in these follow
by products of matrices. Slower than without covariates by the gamma functions of each customer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from runtime.errors import UsageError
from training.buying_bgnbd import PAIRS, fit_bgnbd
from training.buying_data import Histories
from training.buying_fit import Derivatives, Fit, Objective, covariance, maximise, notes
from training.buying_predict import EXTRA, NAMES, Kind
from training.metrics import Floats

ROWS = 1 << 18
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CovariateFit:
    """JSON takes all of it.

    names        r, alpha, a, b, then "rate:NAME", "a:NAME" and "b:NAME" of each covariate
    values       of the parameters and the coefficients, shape (k,)
    covariance   of the logarithms of the four and of the coefficients, shape (k, k); None where the
                 data do not tell
    log_likelihood_without   of the same law with nobody's covariates
    """

    kind: Kind
    rate_names: tuple[str, ...]
    leaving_names: tuple[str, ...]
    names: tuple[str, ...]
    values: tuple[float, ...]
    covariance: tuple[tuple[float | None, ...], ...]
    log_likelihood: float
    log_likelihood_without: float
    customers: int
    notes: tuple[str, ...]

    def interval(self, level: float = 0.95) -> dict[str, tuple[float, float] | None]:
        """By name; on the log scale for the four parameters, plain for the coefficients."""
        reach = NormalDist().inv_cdf(0.5 + level / 2)
        found: dict[str, tuple[float, float] | None] = {}
        for k, (name, value) in enumerate(zip(self.names, self.values, strict=True)):
            variance = self.covariance[k][k]
            if variance is None:
                found[name] = None
                continue
            wide = reach * variance**0.5
            factor = float(np.exp(min(wide, 700.0)))
            four = k < len(NAMES)
            found[name] = (value / factor, value * factor) if four else (value - wide, value + wide)
        return found

    def fits(self, rate: Floats, leaving: Floats) -> Iterator[tuple[Ints, Fit]]:
        """The places of customers with equal covariates, (n, u) and (n, v), and their own fit: its
        four parameters, with the covariance that follows from all of them. Of nobody, nothing."""
        if not len(rate):
            return
        both = np.hstack([rate, leaving])
        rows, place = np.unique(both, axis=0, return_inverse=True)
        order = np.argsort(place.reshape(-1), kind="stable")
        ends = np.cumsum(np.bincount(place.reshape(-1)))
        for row, mine in zip(rows, np.split(order, ends[:-1]), strict=True):
            yield mine, self._of(row[: rate.shape[1]], row[rate.shape[1] :])

    def _of(self, z: Floats, w: Floats) -> Fit:
        """Of customers with these covariates, (u,) and (v,)."""
        four, rest = np.eye(len(NAMES)), np.zeros((len(NAMES), len(self.values) - len(NAMES)))
        u, v = len(z), len(w)
        rest[1, :u], rest[2, u : u + v], rest[3, u + v :] = -z, w, w
        turn = np.hstack([four, rest])  # d logarithms / d parameters
        logs = turn @ np.concatenate([np.log(self.values[:4]), self.values[4:]])
        told = all(cell is not None for row in self.covariance for cell in row)
        found = np.full((4, 4), None) if not told else turn @ np.array(self.covariance) @ turn.T
        return Fit(
            NAMES,
            tuple(np.exp(logs).tolist()),
            tuple(map(tuple, found.tolist())),
            self.log_likelihood,
            self.customers,
            0,
            self.notes,
        )


def fit_covariates(
    known: Histories,
    rate: Floats,
    leaving: Floats,
    rate_names: Sequence[str],
    leaving_names: Sequence[str],
    kind: Kind = "bg/nbd",
    device: str = "cpu",
) -> CovariateFit:
    """`rate`, `leaving`: what may move how often they buy and when they leave, shapes (n, u) and
    (n, v), finite, known at the first purchase. Starts from the fit without them.

    Raises UsageError for covariates of a wrong shape or not finite, ModelError as `fit_bgnbd`.
    """
    _check(known, (rate, leaving), (rate_names, leaving_names))
    start = fit_bgnbd([known], kind, device)
    unit = float(known.age.mean())
    logs = np.log(np.array(start.values) / (1, unit, 1, 1))
    size = np.concatenate([_spread(rate), _spread(leaving), _spread(leaving)])
    scaled = Histories(known.frequency, known.recency / unit, known.age / unit)
    designs = _designs(rate / _spread(rate), leaving / _spread(leaving), device)
    objective = _objective(scaled, designs, EXTRA[kind], device)
    optimum = maximise(objective, [*logs, *np.zeros(len(size))], free=len(size))
    names = (
        *NAMES,
        *(f"rate:{name}" for name in rate_names),
        *(f"{part}:{name}" for part in ("a", "b") for name in leaving_names),
    )
    shrink = np.concatenate([np.ones(4), 1 / size]).tolist()
    told = tuple(
        tuple(None if cell is None else cell * i * k for cell, k in zip(row, shrink, strict=True))
        for row, i in zip(covariance(optimum, PAIRS), shrink, strict=True)
    )
    four = np.exp(optimum.at[:4]) * (1, unit, 1, 1)
    return CovariateFit(
        kind=kind,
        rate_names=tuple(rate_names),
        leaving_names=tuple(leaving_names),
        names=names,
        values=tuple(np.concatenate([four, optimum.at[4:] / size]).tolist()),
        covariance=told,
        log_likelihood=optimum.value - float(known.frequency.sum()) * float(np.log(unit)),
        log_likelihood_without=start.log_likelihood,
        customers=len(known),
        notes=notes(names, optimum, PAIRS, len(size)),
    )


def _check(
    known: Histories, given: tuple[Floats, Floats], names: tuple[Sequence[str], Sequence[str]]
) -> None:
    for what, values, called in zip(("rate", "leaving"), given, names, strict=True):
        if values.shape != (len(known), len(called)) or not np.isfinite(values).all():
            raise UsageError(
                f"buying: covariates of {what} of shape {values.shape} for {len(known):,} "
                f"customers and {len(called)} names; give a finite number for every customer"
            )


def _spread(values: Floats) -> Floats:
    found = values.std(axis=0)
    return np.asarray(np.where(found > 0, found, 1.0))


def _designs(rate: Floats, leaving: Floats, device: str) -> list[Tensor]:
    """How the logarithms of r, alpha, a and b hang on the parameters, each (n, 1 + covariates)."""
    one = np.ones((len(rate), 1))
    parts = (one, np.hstack([one, -rate]), np.hstack([one, leaving]), np.hstack([one, leaving]))
    return [torch.from_numpy(np.ascontiguousarray(part)).to(device) for part in parts]


def _columns(designs: list[Tensor]) -> list[list[int]]:
    """The place of each design's columns among the parameters: first all four, then by kind."""
    found, free = [], len(designs)
    for k, design in enumerate(designs):
        more = design.shape[1] - 1
        found.append([k, *range(free, free + more)])
        free += more
    return found


def _objective(known: Histories, designs: list[Tensor], extra: int, device: str) -> Objective:
    data = [torch.tensor(v, device=device) for v in vars(known).values()]
    places = _columns(designs)
    size = sum(len(place) for place in places)

    def objective(at: Floats) -> Derivatives:
        value, gradient, hessian = 0.0, np.zeros(size), np.zeros((size, size))
        for i in range(0, len(data[0]), ROWS):
            own = [design[i : i + ROWS] for design in designs]
            x, t, age = (part[i : i + ROWS] for part in data)
            weights = [torch.tensor(at[place], device=x.device) for place in places]
            logs = torch.stack([d @ w for d, w in zip(own, weights, strict=True)], dim=1)
            found = _each(logs, x, t, age, extra)
            value += float(found[0])
            for j, place in enumerate(places):
                gradient[place] += (own[j].T @ found[1][:, j]).cpu().numpy()
                for k, other in enumerate(places):
                    block = own[j].T @ (found[2][:, j, k].unsqueeze(1) * own[k])
                    hessian[np.ix_(place, other)] += block.cpu().numpy()
        return value, gradient, hessian

    return objective


def _each(
    logs: Tensor, x: Tensor, t: Tensor, age: Tensor, extra: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-likelihood of all, its gradient (n, 4) and Hessian (n, 4, 4) in each one's `logs`."""
    logs = logs.detach().requires_grad_()
    value = log_likelihood(logs, x, t, age, extra).sum()
    (gradient,) = torch.autograd.grad(value, logs, create_graph=True)
    rows = [torch.autograd.grad(gradient[:, k].sum(), logs, retain_graph=True)[0] for k in range(4)]
    return value.detach(), gradient.detach(), torch.stack(rows, dim=1)


def log_likelihood(logs: Tensor, x: Tensor, t: Tensor, age: Tensor, extra: int) -> Tensor:
    """Of each customer, shape (n,), by the logarithms of their r, alpha, a, b, shape (n, 4); the
    same as in `buying_likelihood`."""
    r, alpha, a, b = logs.exp().unbind(1)
    k = x + extra
    buys = (r + x).lgamma() - r.lgamma() + r * logs[:, 1] - (r + x) * (alpha + age).log()
    stays = (b + k).lgamma() - b.lgamma() + (a + b).lgamma() - (a + b + k).lgamma()
    may = k > 0
    ratio = ((age - t) / (alpha + t)).log1p()
    odds = logs[:, 2] - (b + torch.where(may, k, 1.0) - 1).log() + (r + x) * ratio
    left = torch.logaddexp(torch.zeros_like(odds), odds)
    return buys + stays + torch.where(may, left, 0.0)
