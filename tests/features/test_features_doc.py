"""The figures of docs/features.md are the catalogue's."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from oracles.features_worked import whole

from features.catalogue import entries
from features.plan import FAMILIES

PAGE = Path(__file__).parents[2] / "docs" / "features.md"
ROW = re.compile(r"^\| (\w+) \| (\d+) \| (\d+) \| (\d+) \|", re.MULTILINE)


def test_the_counts_are_those_of_the_page() -> None:
    told = {name: tuple(map(int, counts)) for name, *counts in ROW.findall(PAGE.read_text())}
    sets = [entries(replace(whole("lapse"), set=name)) for name in ("lean", "default", "full")]
    by = [Counter(entry.family for entry in found) for found in sets]
    families = [family.__name__ for family in FAMILIES if family.__name__ != "own"]
    expected = {name: tuple(counts[name] for counts in by) for name in families}
    assert told == expected | {"all": tuple(len(found) for found in sets)}
