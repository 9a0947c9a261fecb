"""Recurrences as their formulas stand: one event after the other, one sequence at a time."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from training.ragged import Ragged


def gated_mean(logits: Tensor, candidates: Tensor, offsets: list[int]) -> Tensor:
    """h = (1 - z) h_before + z c, z = sigmoid(logits), from 0 in each sequence; autograd's to
    differentiate."""
    states = []
    for begin, end in pairwise(offsets):
        state = torch.zeros_like(candidates[0])
        for k in range(begin, end):
            gate = logits[k].sigmoid()
            state = (1 - gate) * state + gate * candidates[k]
            states.append(state)
    return torch.stack(states)


def gru(cell: nn.GRU, inputs: Tensor, offsets: list[int]) -> Tensor:
    """PyTorch's own, over each sequence by itself."""
    found = [
        cell(inputs[begin:end].unsqueeze(1))[0][:, 0]
        for begin, end in pairwise(offsets)
        if end > begin
    ]
    return torch.cat(found)


def attention(
    query: Tensor, key: Tensor, value: Tensor, events: Ragged, slopes: Tensor, window: int
) -> Tensor:
    """Attention of each event to the last `window` of its sequence, itself included.

    query, key, value    shape (n_events, heads, width of a head)
    slopes               shape (2, heads), not negative: what a logarithm of the distance in events,
                         and of that in hours, takes from the score
    """
    offsets, gaps = events.offsets.tolist(), events.values["gap"].double().tolist()
    found = torch.empty_like(query)
    for begin, end in pairwise(offsets):
        for k in range(begin, end):
            first = max(begin, k - window + 1)
            hours = [sum(gaps[j + 1 : k + 1]) / 3600 for j in range(first, k + 1)]
            back = torch.arange(k - first, -1, -1, dtype=query.dtype)
            far = torch.tensor(hours, dtype=query.dtype)
            for head in range(query.shape[1]):
                scores = key[first : k + 1, head] @ query[k, head] / query.shape[2] ** 0.5
                penalty = slopes[0, head] * back.log1p() + slopes[1, head] * far.log1p()
                weights = (scores - penalty).softmax(0)
                found[k, head] = weights @ value[first : k + 1, head]
    return found
