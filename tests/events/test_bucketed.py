"""What is read of a few buckets is what was written of them, in order."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import bucketed
from events.bucketed import open_bucketed, write_bucketed


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_buckets_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    buckets = data.draw(st.sampled_from([1, 2, 7, 65_536]))
    numbers = data.draw(st.lists(st.integers(0, buckets - 1), min_size=1, max_size=50))
    rows = pl.DataFrame({"n": range(len(numbers)), "text": [f"t{n}" for n in numbers]})
    path = tmp_path_factory.mktemp("parts") / "rows-[1].parquet"  # no pattern to be matched
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bucketed, "ROW_GROUP", data.draw(st.integers(1, 20)))
        write_bucketed(path, rows, pl.Series(numbers, dtype=pl.Int32), buckets)
    first = data.draw(st.integers(0, buckets - 1))
    last = data.draw(st.integers(first, buckets))
    mine = pl.Series([n for n in sorted(set(numbers)) if first <= n < last], dtype=pl.Int64)
    expected = [i for bucket in mine for i, n in enumerate(numbers) if n == bucket]
    part = open_bucketed(path)
    assert part.read(first, last)["n"].to_list() == expected
    assert int(part.starts[-1]) == rows.height
    assert [p.name for p in sorted(Path(path.parent).iterdir())] == ["rows-[1].npy", path.name]
