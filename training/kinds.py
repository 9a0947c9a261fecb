"""The kinds of model that `train` takes by name, and the specs that they stand for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runtime.errors import UsageError
from training.buying_spec import BuyingSpec
from training.forest import ForestSpec
from training.linear import LogisticSpec
from training.quantiles import QuantileSpec
from training.sequence_spec import SequenceSpec
from training.trees import XGBoostSpec
from training.two_part import TwoPartSpec
from training.ziln import ZilnSpec

PlainSpec = LogisticSpec | ForestSpec | XGBoostSpec


ValueSpec = TwoPartSpec | ZilnSpec | QuantileSpec


@dataclass(frozen=True)
class Pair:
    """A spec for each of the two: what is best for churn need not be for value."""

    churn: PlainSpec
    value: PlainSpec | ValueSpec


Spec = PlainSpec | Pair | SequenceSpec | BuyingSpec


PLAIN: dict[str, Callable[[int], PlainSpec]] = {
    "xgboost": lambda seed: XGBoostSpec(seed=seed),
    "forest": lambda seed: ForestSpec(seed=seed),
    "logistic": lambda seed: LogisticSpec(),
}


# Models of value; churn is XGBoost's.
OF_VALUE: dict[str, Callable[[int], ValueSpec]] = {
    "two-part": lambda seed: TwoPartSpec(trees=XGBoostSpec(seed=seed)),
    "ziln": lambda seed: ZilnSpec(seed=seed),
    "quantile": QuantileSpec.of_seed,
}
OTHERS = ("auto", "buying", "sequence", *OF_VALUE)


def spec_of(kind: str, seed: int) -> Spec:
    """Raises UsageError for a kind that is not known."""
    if kind in OF_VALUE:
        return Pair(XGBoostSpec(seed=seed), OF_VALUE[kind](seed))
    if kind == "sequence":
        return SequenceSpec(seed=seed)
    return BuyingSpec() if kind == "buying" else _plain(kind, seed, OTHERS)


def plain_spec(kind: str, seed: int) -> PlainSpec:
    """Of the kinds whose settings are searched. Raises UsageError for another one."""
    return _plain(kind, seed, ())


def _plain(kind: str, seed: int, others: tuple[str, ...]) -> PlainSpec:
    """`others`: what else is known where it was asked for."""
    if kind not in PLAIN:
        known = ", ".join(sorted({*others, *PLAIN}))
        why = "has no settings to search" if kind in OTHERS else "is not known"
        raise UsageError(f"model '{kind}' {why}; choose one of {known}")
    return PLAIN[kind](seed)
