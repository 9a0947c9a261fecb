"""Properties and attributes that tell by themselves who leaves, as those do that were written down
afterwards: a status, a reason, a total as of the day of the export."""

from __future__ import annotations

import numpy as np

from features.categories import categories
from features.dictionary import dictionary
from features.numbers import numbers
from features.spec import FeatureSpec
from features.statics import statics
from training.metrics import Floats, ranked, roc_auc
from training.rows import Rows

ALONE = 0.9  # AUC
LEAST_OF_A_CLASS = 20
MOST_NAMED = 3


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
