"""What several tests of training share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from training import kinds
from training.sequence_spec import SequenceSpec


@pytest.fixture(scope="module")
def fewer_steps() -> Iterator[None]:
    """Sequence models of a quarter of the steps that a small log gets: enough to learn from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinds, "SequenceSpec", partial(SequenceSpec, least_steps=100))
        yield
