"""A gated recurrent unit over events by step: the numbers of `nn.GRU`, several times as fast.

The gates are those of Cho et al. 2014 in the variant of cuDNN and PyTorch, with W, b the weights of
the state:

    r, z = sigmoid(p_r + W_r h + b_r), sigmoid(p_z + W_z h + b_z)
    n = tanh(p_n + r (W_n h + b_n))
    h' = (1 - z) n + z h

where p is what the inputs give, one product for all events at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from training.scans import whole

Sizes = tuple[int, ...]


def gru_by_step(projected: Tensor, weight: Tensor, bias: Tensor, sizes: Sizes) -> Tensor:
    """States, shape (n_events, d).

    projected       shape (n_events, 3 d): what the inputs give to r, z and n, with their bias
    weight, bias    shape (3 d, d) and (3 d,), as `nn.GRU` has them for its state
    """
    with torch.autocast(projected.device.type, enabled=False):
        found: Tensor = _Gru.apply(whole(projected), weight, bias, sizes)  # type: ignore[no-untyped-call]
    return found


class _Gru(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, projected: Tensor, weight: Tensor, bias: Tensor, sizes: Sizes) -> Tensor:
        d = weight.shape[1]
        # To each step its own input is added within the product; r, z and n apart, since the state
        # enters n behind r.
        gates, inner, new, states = (
            projected.new_empty(len(projected), k * d) for k in (2, 1, 1, 1)
        )
        to_gates, to_new = weight[: 2 * d].t().contiguous(), weight[2 * d :].t().contiguous()
        p = projected[:, : 2 * d] + bias[: 2 * d]
        before = projected.new_zeros(sizes[0], d)
        parts = (p, projected[:, 2 * d :], gates, gates[:, :d], gates[:, d:], inner, new, states)
        for pg, pn, g, r, z, i, n, h in zip(*_steps(sizes, *parts), strict=True):
            old = before[: len(h)]
            torch.addmm(pg, old, to_gates, out=g).sigmoid_()
            torch.addmm(bias[2 * d :], old, to_new, out=i)
            torch.addcmul(pn, r, i, out=n).tanh_()
            torch.lerp(n, old, z, out=h)
            before = h
        ctx.save_for_backward(gates, inner, new, states, weight)
        ctx.sizes = sizes
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        gates, inner, new, states, weight = ctx.saved_tensors
        sizes: Sizes = ctx.sizes
        d = weight.shape[1]
        old = _before(states, sizes)
        r, z = gates[:, :d], gates[:, d:]
        # What G, the gradient of h', gives to p_n, then to p_r by way of it, and to p_z.
        to_new = (1 - z) * (1 - new * new)
        to_gates = torch.cat((to_new * inner * r * (1 - r), (old - new) * z * (1 - z)), 1)
        to_inner = to_new * r
        local = torch.cat((to_gates, to_inner), 1).view(-1, 3, d)
        whole, passed = gradient.clone(), torch.empty_like(local)
        parts = _steps(sizes, whole, local, passed, z)
        for t in range(len(sizes) - 1, -1, -1):
            g, each, out, keep = (part[t] for part in parts)
            torch.mul(each, g.unsqueeze(1), out=out)
            if t:
                earlier = parts[0][t - 1][: sizes[t]]
                earlier.addcmul_(g, keep).addmm_(out.view(len(g), 3 * d), weight)
        flat = passed.view(-1, 3 * d)
        to_projected = torch.cat((flat[:, : 2 * d], whole * to_new), 1)
        return to_projected, flat.t() @ old, flat.sum(0), None


def _steps(sizes: Sizes, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
    return [tensor.split_with_sizes(sizes) for tensor in tensors]


def _before(states: Tensor, sizes: Sizes) -> Tensor:
    """Of each event the state before it, zeros at the first step."""
    (steps,) = _steps(sizes, states)
    starts = [states.new_zeros(sizes[0], states.shape[1])]
    return torch.cat(starts + [h[:size] for h, size in zip(steps, sizes[1:], strict=False)])
