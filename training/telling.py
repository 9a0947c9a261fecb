"""What is too good to be true: properties and attributes that alone tell who leaves, as those do
that were written down afterwards (a status, a reason, a total as of the day of the export)."""

from __future__ import annotations

import numpy as np

from features.categories import categories
from features.dictionary import dictionary
from features.numbers import numbers
from features.spec import FeatureSpec
from features.statics import statics
from training.evaluate import Evaluation
from training.metrics import Floats, ranked, roc_auc
from training.rows import Rows

ALONE, TOO_GOOD = 0.9, 0.99  # AUC on rows not seen
LEAST_OF_A_CLASS = 20
MOST_NAMED = 3


def notes_of_test(evaluation: Evaluation, test: Rows, spec: FeatureSpec) -> list[str]:
    """What a reviewer must know of the rows that a model is measured on."""
    if len(set(evaluation.churn)) == 1:
        return ["one class only to test on: no ranking metric of churn"]
    notes = telling_notes(test, spec)
    if (auc := evaluation.metrics["churn_roc_auc"]) < TOO_GOOD:
        return notes
    return [
        *notes,
        f"AUC {auc:.3f} is better than behaviour can tell: look in the reasons for a feature that "
        "comes with leaving itself (an event or a property of it), and run 'holdfast leakcheck'",
    ]


def telling_notes(test: Rows, spec: FeatureSpec) -> list[str]:
    """Of rows that no fit has seen; none where too few of a class could be told apart."""
    if min(test.churn.sum(), (1 - test.churn).sum()) < LEAST_OF_A_CLASS:
        return []
    told = (c.feature.name for make in (numbers, categories, statics) for c in make(spec).columns)
    places = {name: test.features.index(name) for name in told if name in test.features}
    alone = {
        name: _auc(test, test.x[:, place].astype(np.float64)) for name, place in places.items()
    }
    found = sorted((n for n in alone if alone[n] >= ALONE), key=lambda n: -alone[n])[:MOST_NAMED]
    if not found:
        return []
    words = "; ".join(f"{dictionary(spec)[n].description} ({alone[n]:.3f})" for n in found)
    return [
        f"alone ranks who leaves by an AUC of {ALONE} or more: {words}; if it was written down "
        "afterwards, leave it out of 'properties' or 'attributes'"
    ]


def _auc(test: Rows, values: Floats) -> float:
    """Either way round, those without a value at the end where they rank best."""
    found = []
    for missing in (-np.inf, np.inf):
        held = np.where(np.isnan(values), missing, values)
        auc = float(roc_auc(ranked(test.churn, held, np.ones(len(test)))))
        found += [auc, 1 - auc]
    return max(found)
