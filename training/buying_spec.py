"""What is chosen of the models of buying when they are a kind of `train`."""

from __future__ import annotations

from dataclasses import dataclass

from training.buying_predict import Kind


@dataclass(frozen=True)
class BuyingSpec:
    """`churn`, `value`: the model of each; None: the one of the greater likelihood."""

    churn: Kind | None = None
    value: Kind | None = None
