"""The likelihood of BG/NBD (Fader, Hardie & Lee 2005) and MBG/NBD (Batislam et al. 2007).

While alive a customer buys at rate lambda ~ Gamma(r, alpha), and leaves for good with
probability p ~ Beta(a, b) after each purchase: BG/NBD after each repeat, MBG/NBD after the first
purchase too. With k the times a customer can have left (BG: x, MBG: x + 1), both have

    L = Gamma(r + x) / Gamma(r)  alpha^r / (alpha + T)^(r + x)  B(a, b + k) / B(a, b)  (1 + e^z)
    z = log(a / (b + k - 1)) + (r + x) log((alpha + T) / (alpha + t_x))

without e^z where k is 0: eq. 6 of the first paper and the likelihood of the second, rearranged.
e^z are the odds that the customer has left. Ratios of gamma functions whose arguments differ by a
whole number are products: the sum over customers of log Gamma(r + x) / Gamma(r) is the sum over j
of log(r + j) times the number of customers with x > j. So no special function is needed, and a
customer costs four logarithms and an exponential.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.buying_blocks import Columns, columns, sum_blocks
from training.buying_data import Groups
from training.buying_fit import Derivatives
from training.metrics import Floats

# The 15 figures that are summed: log-likelihood, gradient, Hessian's upper triangle, by rows.
UPPER = np.triu_indices(4)
FIGURES = 15


@dataclass(frozen=True)
class Sums:
    """What the likelihood needs of the customers, float64 on one device.

    rows    histories in which the customer may have left: x, T - t_x, T, weight, each (m,)
    silent  those of BG/NBD without a repeat: T, weight
    buys    how many customers have x > j, for j = 0, 1, …
    stays   how many have k > j
    extra   k - x: 0 for BG/NBD, 1 for MBG/NBD
    """

    rows: Columns
    silent: Columns
    buys: Tensor
    stays: Tensor
    extra: int

    @property
    def customers(self) -> float:
        return float(self.rows[3].sum() + self.silent[1].sum())


def sums(groups: Groups, extra: int, device: str = "cpu") -> Sums:
    """Counted and laid out once for all steps."""
    may_have_left = groups.frequency + extra > 0

    x, t, age, weight = (part[may_have_left] for part in vars(groups).values())
    buys, stays = columns(
        device,
        _above(groups.frequency, groups.weight),
        _above(groups.frequency + extra, groups.weight),
    )
    return Sums(
        rows=columns(device, x, age - t, age, weight),
        silent=columns(device, groups.age[~may_have_left], groups.weight[~may_have_left]),
        buys=buys,
        stays=stays,
        extra=extra,
    )


def _above(count: Floats, weight: Floats) -> Floats:
    """How many customers have a count above j, shape (largest,)."""
    having = np.bincount(count.astype(np.int64), weights=weight)
    return np.array(having[::-1].cumsum()[::-1][1:])


def derivatives(data: Sums, parameters: Floats) -> Derivatives:
    """Log-likelihood, gradient and Hessian in (r, alpha, a, b), summed over all customers."""
    r, alpha, a, b = (float(p) for p in parameters)
    total = _products(data, r, alpha, a, b)
    total += sum_blocks(lambda part: _silent(part, r, alpha), data.silent, FIGURES)
    total += sum_blocks(lambda part: _rows(part, r, alpha, a, b, data.extra), data.rows, FIGURES)
    hessian = np.zeros((4, 4))
    hessian[UPPER] = total[5:]
    return float(total[0]), total[1:5], hessian + np.triu(hessian, 1).T


def _products(data: Sums, r: float, alpha: float, a: float, b: float) -> Floats:
    """What depends on a customer by counts alone: the ratios of gamma functions and alpha^r."""
    n = data.customers
    rs = r + torch.arange(len(data.buys), device=data.buys.device, dtype=torch.float64)
    js = torch.arange(len(data.stays), device=data.buys.device, dtype=torch.float64)

    def powers(at: Tensor, weight: Tensor) -> tuple[float, float, float]:
        inverse = weight / at
        return (
            float((weight * at.log()).sum()),
            float(inverse.sum()),
            float(-(inverse / at).sum()),
        )

    buys, stays = powers(rs, data.buys), powers(b + js, data.stays)
    leaves = powers(a + b + js, data.stays)
    log_alpha = float(np.log(alpha))
    value = buys[0] + stays[0] - leaves[0] + n * r * log_alpha
    gradient = (buys[1] + n * log_alpha, n * r / alpha, -leaves[1], stays[1] - leaves[1])
    upper = (
        *(buys[2], n / alpha, 0.0, 0.0),
        *(-n * r / alpha**2, 0.0, 0.0),
        *(-leaves[2], -leaves[2], stays[2] - leaves[2]),
    )
    return np.array([value, *gradient, *upper])


def _silent(part: Columns, r: float, alpha: float) -> Tensor:
    """-r log(alpha + T) of those who never came back."""
    age, weight = part
    inverse = (age + alpha).reciprocal()
    log_sum = (weight * (age + alpha).log()).sum()
    once = (weight * inverse).sum()
    twice = (weight * inverse * inverse).sum()
    found = age.new_zeros(FIGURES)
    found[0], found[1], found[2] = -r * log_sum, -log_sum, -r * once
    found[6], found[9] = -once, r * twice
    return found


def _rows(part: Columns, r: float, alpha: float, a: float, b: float, extra: int) -> Tensor:
    """-(r + x) log(alpha + T) + log(1 + e^z), its gradient and Hessian; z_q: dz/dq."""
    x, gap, age, weight = part
    now = age + alpha
    inverse = now.reciprocal()
    bought = x + r
    chance = (x + (b + extra - 1)).reciprocal()
    then_inverse = (now - gap).reciprocal()
    ratio = (gap * then_inverse).log1p()
    log_now = now.log()
    z = torch.addcmul((a * chance).log(), bought, ratio)
    small = (-z.abs()).exp()
    gone = torch.where(z >= 0, 1.0, small) / (1 + small)  # the probability to have left
    # 1 + e^z without overflow; `spread` is the derivative of `gone`.
    spread = weight * small / (1 + small).square()
    value = weight * (z.clamp(min=0) + small.log1p() - bought * log_now)
    gone = gone * weight
    slope = -gap * inverse * then_inverse  # of `ratio` by alpha
    z_r, z_alpha, z_b = ratio, bought * slope, -chance
    weighted = weight * inverse
    left, bend = gone.sum() / a, spread.sum() / a
    by_r, by_alpha, by_b = spread * z_r, spread * z_alpha, spread * z_b
    curve = gone * bought * (then_inverse.square() - inverse.square())
    return torch.stack(
        (
            value.sum(),
            (gone * z_r - weight * log_now).sum(),
            (gone * z_alpha - weighted * bought).sum(),
            left,
            (gone * z_b).sum(),
            (by_r * z_r).sum(),
            (by_r * z_alpha + gone * slope - weighted).sum(),
            by_r.sum() / a,
            (by_r * z_b).sum(),
            (by_alpha * z_alpha + curve + weighted * inverse * bought).sum(),
            by_alpha.sum() / a,
            (by_alpha * z_b).sum(),
            bend / a - left / a,
            by_b.sum() / a,
            ((spread + gone) * chance.square()).sum(),
        )
    )
