"""Recurrences with an exact gradient of their own, each in two or three operations a step.

Left to autograd, a chain of small steps on slices costs a whole tensor of zeros for the gradient of
each slice: quadratic in the length, which is why `nn.GRU` over a `PackedSequence` is slow on a CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Sizes = tuple[int, ...]


def scan_by_step(logits: Tensor, candidates: Tensor, sizes: Sizes) -> Tensor:
    """h of each event, h = (1 - z) h_before + z c with z = sigmoid(logits), and 0 before the first.

    logits, candidates    shape (n_events, d), by step as `layouts.ByStep` lays them
    """
    found: Tensor = _ScanByStep.apply(whole(logits), whole(candidates), sizes)  # type: ignore[no-untyped-call]
    return found


def whole(values: Tensor) -> Tensor:
    """At least float32: what is carried over hundreds of steps is not carried in half precision,
    which mixed precision makes of products."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


class _ScanByStep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, candidates: Tensor, sizes: Sizes) -> Tensor:
        gates = logits.sigmoid()
        states = torch.empty_like(candidates)
        before = states.new_zeros(sizes[0], states.shape[1])
        for gate, candidate, state in zip(*_steps(sizes, gates, candidates, states), strict=True):
            torch.lerp(before[: len(state)], candidate, gate, out=state)
            before = state
        ctx.save_for_backward(gates, candidates, states)
        ctx.sizes = sizes
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        """With G the gradient of h, in all: G_before += (1 - z) G, dc = z G,
        d logit = (c - h_before) z (1 - z) G."""
        gates, candidates, states = ctx.saved_tensors
        sizes: Sizes = ctx.sizes
        whole, to_candidates = gradient.clone(), torch.empty_like(gradient)
        to_logits = torch.empty_like(gradient)
        g, z, c, h, dc, dl = _steps(
            sizes, whole, gates, candidates, states, to_candidates, to_logits
        )
        for t in range(len(sizes) - 1, 0, -1):
            size = sizes[t]
            torch.mul(g[t], z[t], out=dc[t])
            g[t - 1][:size].add_(g[t]).sub_(dc[t])
            torch.sub(c[t], h[t - 1][:size], out=dl[t])
        torch.mul(g[0], z[0], out=dc[0])
        dl[0].copy_(c[0])
        to_logits.mul_(to_candidates)
        to_logits.addcmul_(to_logits, gates, value=-1)
        return to_logits, to_candidates, None


def scan_in_place(logits: Tensor, candidates: Tensor, places: Tensor) -> Tensor:
    """The same of events that lie sequence by sequence, by doubling (Hillis and Steele 1986).

    places    Int64, shape (n_events,): of each event within its sequence, from 0
    """
    found: Tensor = _ScanInPlace.apply(whole(logits), whole(candidates), places)  # type: ignore[no-untyped-call]
    return found


class _ScanInPlace(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, candidates: Tensor, places: Tensor) -> Tensor:
        gates = logits.sigmoid()
        longest = int(places.max()) + 1
        keep = (1 - gates).masked_fill_((places == 0).unsqueeze(1), 0.0)
        states = _doubling(keep, gates * candidates, longest)
        ctx.save_for_backward(gates, candidates, states, keep, places)
        ctx.longest = longest
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        gates, candidates, states, keep, places = ctx.saved_tensors
        # What an event passes back is weighed by the keeping of the one after it.
        after = torch.cat((keep[1:], keep.new_zeros(1, keep.shape[1]))).flip(0)
        whole = _doubling(after, gradient.flip(0), ctx.longest).flip(0)
        before = torch.cat((states.new_zeros(1, states.shape[1]), states[:-1]))
        before = before.masked_fill((places == 0).unsqueeze(1), 0.0)
        to_candidates = whole * gates
        return to_candidates * (1 - gates) * (candidates - before), to_candidates, None


def _doubling(keep: Tensor, added: Tensor, longest: int) -> Tensor:
    """h[i] = keep[i] h[i - 1] + added[i] along dimension 0; keep is 0 where a chain begins."""
    step = 1
    while step < longest:
        added = torch.cat((added[:step], added[step:].addcmul(keep[step:], added[:-step])))
        keep = torch.cat((keep[:step], keep[step:] * keep[:-step]))
        step *= 2
    return added


def _steps(sizes: Sizes, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
    return [tensor.split_with_sizes(sizes) for tensor in tensors]
