"""What holds for every test.

No test fails for being slow: a machine that is busy is no fault of the code. Models are fitted on
one thread: of their few rows two make nothing faster, and the suite is run by one process a core.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")

# Every run draws other examples: fewer a run are as many in two. `--hypothesis-profile thorough`
# draws more at once.
settings.register_profile("unhurried", deadline=None, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile("unhurried")


@pytest.fixture(scope="module")
def quick_models() -> Iterator[None]:
    """Models by name with a quarter of the steps or trees that a small log gets, and half of the
    ensembles: enough to learn from."""
    from training import kinds
    from training.sequence_spec import SequenceSpec
    from training.trees import XGBoostSpec

    quick = partial(XGBoostSpec, depths=(2,), part_depths=(2,), most_rounds=100, bags=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinds, "SequenceSpec", partial(SequenceSpec, least_steps=100))
        patch.setitem(kinds.PLAIN, "xgboost", lambda seed: quick(seed=seed))
        yield
