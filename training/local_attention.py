"""Causal attention to the last WINDOW events of one's own sequence, over a ragged batch as it lies.

The batch is cut into blocks of WINDOW events wherever its sequences begin and end; the events of a
block attend to those of it and of the block before that are of their own sequence, not later, and
fewer than WINDOW events back. So the only padding is at the end of the batch, and the cost of an
event is the same in a short sequence and in a long one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention, softplus

from training.ragged import Ragged

WINDOW = 32
HEADS = 4
HOUR_S = 3600.0


def elapsed(events: Ragged) -> Tensor:
    """Hours from some instant of its own sequence to each event, float64, shape (n_events,): only
    differences within a sequence mean anything."""
    return events.values["gap"].double().nan_to_num(0.0).cumsum(0) / HOUR_S


class LocalAttention(nn.Module):
    """A layer of Vaswani et al. 2017, norm first, with attention within a window. Nearness is told
    by a penalty on each score, growing with the logarithm of the distance in events and in hours;
    each head learns how fast (after ALiBi, Press et al. 2022)."""

    def __init__(self, width: int, heads: int = HEADS, window: int = WINDOW) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, 3 * width)
        self.outer = nn.Linear(width, width)
        self.mixer = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.slopes = nn.Parameter(torch.linspace(-4.0, 2.0, heads).repeat(2, 1).clone())

    def forward(self, x: Tensor, owners: Tensor, since: Tensor) -> Tensor:
        """Shape (n_events, width).

        owners    shape (n_events,), the sequence of each event
        since     shape (n_events,), see `elapsed`
        """
        n, width = x.shape
        query, key, value = self.inner(self.norm(x)).chunk(3, 1)
        attended = scaled_dot_product_attention(
            self._by_head(_blocks(query, self.window)),
            self._by_head(_windows(key, self.window)),
            self._by_head(_windows(value, self.window)),
            attn_mask=self._scores(owners, since, x.dtype),
        )
        x = x + self.outer(attended.transpose(1, 2).reshape(-1, width)[:n])
        mixed: Tensor = x + self.mixer(x)
        return mixed

    def _by_head(self, x: Tensor) -> Tensor:
        """Shape (n_blocks, heads, events, width of a head)."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def _scores(self, owners: Tensor, since: Tensor, dtype: torch.dtype) -> Tensor:
        """What is added to the scores, shape (n_blocks, heads, window, 2 window)."""
        w = self.window
        places = torch.arange(len(owners), device=owners.device)
        # The end of the batch is filled up with events of no sequence, those before it of another.
        mine, theirs = _blocks(owners, w, -1), _windows(owners, w, -2)
        back = _blocks(places, w, len(places)).unsqueeze(2) - _windows(places, w).unsqueeze(1)
        seen = (mine.unsqueeze(2) == theirs.unsqueeze(1)) & (back >= 0) & (back < w)
        itself = torch.eye(w, 2 * w, device=owners.device, dtype=torch.bool).roll(w, 1)
        hours = _blocks(since, w).unsqueeze(2) - _windows(since, w).unsqueeze(1)
        apart = torch.stack((back, hours)).clamp(min=0).log1p().to(dtype)
        slopes = softplus(self.slopes).to(dtype)
        penalty = -torch.einsum("pbij,ph->bhij", apart, slopes)
        return penalty.masked_fill(~(seen | itself).unsqueeze(1), float("-inf"))


def _blocks(x: Tensor, window: int, fill: float = 0) -> Tensor:
    """Shape (n_blocks, window, ...), filled up at the end."""
    short = -len(x) % window
    filled = pad(x.movedim(0, -1), (0, short), value=fill).movedim(-1, 0)
    # The kernels of attention ask for a last axis that lies together.
    return filled.contiguous().view(-1, window, *x.shape[1:])


def _windows(x: Tensor, window: int, fill: float = 0) -> Tensor:
    """Of each block the block before it and itself, shape (n_blocks, 2 window, ...)."""
    blocks = _blocks(x, window, fill)
    first = torch.full_like(blocks[:1], fill)
    return torch.cat((torch.cat((first, blocks[:-1])), blocks), 1)
