"""What the heads of a sequence model are fitted by, in formulas that hold in float32.

Every function takes a row a user or an event and gives a row's loss or figure; none averages.
Logs of probabilities are added where probabilities would be multiplied, so that a row that is
all but certain, or all but impossible, still has a finite loss and a gradient.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid, softplus

SIGMA_FLOOR = 0.05
HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)
SHORTEST_GAP_SECONDS = 1.0
MOST_LOG_MEAN = 30.0


def log_survival(logits: Tensor) -> Tensor:
    """Log of the chance that nothing has happened by each edge, shape (n, bins + 1), 0 first.

    logits    shape (n, bins): log-odds of the event in a bin, given none before it
    """
    steps = logsigmoid(-logits).cumsum(1)
    return torch.cat((torch.zeros_like(steps[:, :1]), steps), 1)


def hazard_loss(logits: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Minus the log-likelihood of what is known of each user's event, shape (n,).

    logits    shape (n, bins)
    low       Int64, shape (n,): nothing has happened in this many of the first bins
    high      Int64, shape (n,), above `low`: it has happened within the first `high` bins;
              bins + 1 where it is not known to have happened at all

    A discrete-time hazard (Singer & Willett 1993) with interval censoring: the chance of one of
    the bins [low, high) is summed, the last of bins + 1 being "later than all". A user seen only
    through the early bins teaches those, and has no gradient in the later ones.
    """
    survived = log_survival(logits)
    within = survived[:, :-1] + logsigmoid(logits)
    log_chances = torch.cat((within, survived[:, -1:]), 1)
    places = torch.arange(log_chances.shape[1], device=logits.device)
    known = (places >= low.unsqueeze(1)) & (places < high.unsqueeze(1))
    # Seen through to `low` and no further is survival itself: the sum over the later bins would
    # be the same number with rounding, and a gradient of rounding.
    open_end = high > logits.shape[1]
    closed = log_chances.masked_fill(~(known | open_end.unsqueeze(1)), -torch.inf).logsumexp(1)
    return -torch.where(open_end, survived.gather(1, low.unsqueeze(1)).squeeze(1), closed)


def log_waiting(logits: Tensor, edges: Tensor, days: Tensor) -> Tensor:
    """Log of the chance that nothing has happened by each of the days, shape (n, len(days)).

    edges    shape (bins,): the days at which the bins end, rising
    days     shape (m,), none below 0

    Within a bin the rate is constant, and after the last it stays as it was in the last; so the
    curve falls with the day whatever the logits.
    """
    survived = log_survival(logits)
    ends = torch.cat((edges.new_zeros(1), edges))
    place = torch.searchsorted(edges, days).clamp(max=len(edges) - 1)
    share = (days - ends[place]) / (ends[place + 1] - ends[place])
    lost = survived[:, place + 1] - survived[:, place]
    return survived[:, place] + share * lost


def reached(logits: Tensor, edges: Tensor, days: Tensor) -> Tensor:
    """The chance that the event has happened by each of the days, shape (n, len(days)); arguments
    as of `log_waiting`."""
    return -torch.expm1(log_waiting(logits, edges, days))


def ziln_loss(parts: Tensor, value: Tensor) -> Tensor:
    """Minus the log-density of a value, shape (n,); zero-inflated log-normal, Wang et al. 2019.

    parts    shape (n, 3): log-odds of a value above 0, mean of its log, what `ziln_sigma` takes
    value    shape (n,), in the unit of the fit; what is not above 0 counts as 0
    """
    some = value > 0
    log_value = torch.where(some, value, 1.0).log()
    sigma = ziln_sigma(parts)
    z = (log_value - parts[:, 1]) / sigma
    dense = softplus(-parts[:, 0]) + log_value + sigma.log() + HALF_LOG_TAU + 0.5 * z * z
    return torch.where(some, dense, softplus(parts[:, 0]))


def ziln_sigma(parts: Tensor) -> Tensor:
    """The spread of the log, floored alike where it is fitted and where it predicts."""
    return SIGMA_FLOOR + softplus(parts[:, 2])


def ziln_mean(parts: Tensor) -> Tensor:
    """Shape (n,). Wang et al. 2019, eq. 5."""
    sigma = ziln_sigma(parts)
    return (logsigmoid(parts[:, 0]) + parts[:, 1] + 0.5 * sigma * sigma).exp()


def ziln_quantiles(parts: Tensor, levels: Tensor) -> Tensor:
    """Shape (n, len(levels)); 0 up to the chance of no value. `levels` lie within (0, 1)."""
    log_left = torch.log1p(-levels) - logsigmoid(parts[:, :1])  # of those above 0, the share above
    z = -torch.special.ndtri(log_left.clamp(max=0.0).exp())
    found = (parts[:, 1:2] + ziln_sigma(parts).unsqueeze(1) * z).exp()
    return torch.where(log_left < 0, found, 0.0)


def tweedie_loss(log_mean: Tensor, value: Tensor) -> Tensor:
    """Half the unit deviance of power 1.5 but for what depends on the value alone, shape (n,).
    Jorgensen 1987.

    value    shape (n,), in the unit of the fit; what is not above 0 counts as 0
    """
    held = log_mean.clamp(-MOST_LOG_MEAN, MOST_LOG_MEAN)
    return 2 * ((0.5 * held).exp() + value.clamp(min=0) * (-0.5 * held).exp())


def log_gap(seconds: Tensor) -> Tensor:
    """The log of a gap, of which none counts as shorter than a second; a missing one is 0."""
    return seconds.nan_to_num(SHORTEST_GAP_SECONDS).clamp(min=SHORTEST_GAP_SECONDS).log()


def kind_loss(logits: Tensor, kind: Tensor) -> Tensor:
    """Cross entropy of the next event's kind, shape (n,)."""
    return cross_entropy(logits, kind.long(), reduction="none")


def gap_loss(mixture: Tensor, seconds: Tensor) -> Tensor:
    """Minus the log-density of the log of the gap under a mixture of normals, shape (n,).

    A log-normal mixture as in Shchur et al. 2020, less the Jacobian, which teaches nothing.

    mixture    shape (n, 3, parts): weights before the softmax, means and spreads of the log
    """
    sigma = SIGMA_FLOOR + softplus(mixture[:, 2])
    z = (log_gap(seconds).unsqueeze(1) - mixture[:, 1]) / sigma
    log_dense = -0.5 * z * z - sigma.log() - HALF_LOG_TAU
    return -(mixture[:, 0].log_softmax(1) + log_dense).logsumexp(1)


def contrastive_loss(
    embeddings: Tensor, owners: Tensor, margin: float, negatives: int
) -> tuple[Tensor, Tensor]:
    """The sum over pairs and the number of pairs; CoLES, Babaev et al. 2022, section 3.

    embeddings    shape (n, d), of length 1
    owners        shape (n,): whose sub-sequence each is

    Two of one owner cost their squared distance, once. Of each row the `negatives` nearest rows
    of other owners cost the square of what their distance lacks to the margin.
    """
    near = (2 - 2 * embeddings @ embeddings.T).clamp(min=1e-12)  # squared distances
    same = owners.unsqueeze(0) == owners.unsqueeze(1)
    pairs = same.triu(1)
    hard = near.masked_fill(same, torch.inf)
    hard = hard.topk(min(negatives, len(owners)), dim=1, largest=False).values
    held = hard.isfinite()  # of few owners a row has fewer rows of others than are asked for
    lacks = (margin - torch.where(held, hard, 1.0).sqrt()).clamp(min=0)
    costs = torch.where(pairs, near, 0.0).sum() + torch.where(held, lacks * lacks, 0.0).sum()
    return costs, pairs.sum() + held.sum()
