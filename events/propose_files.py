"""Which files are looked at together, and how much of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from events.batches import Batch
from events.readers import read
from events.sniff import format_by_name
from runtime.settings_sources import FileFormat

HEAD_ROWS = 200_000
_GOLDEN = (5**0.5 - 1) / 2


def alike(paths: Sequence[Path]) -> list[tuple[Path, ...]]:
    """The files that are looked at together: of lines of JSON, any of which may lack any field,
    those whose paths differ in digits alone; every other file by itself."""
    groups: dict[str, list[Path]] = {}
    for path in dict.fromkeys(paths):
        lines = path.exists() and format_by_name(path) == "ndjson"
        groups.setdefault(re.sub(r"\d+", "#", str(path)) if lines else str(path), []).append(path)
    return [tuple(group) for group in groups.values()]


def some_rows(paths: Sequence[Path], layout: FileFormat) -> tuple[list[Batch], bool]:
    """Rows of files from the first to the last, in their order, and whether they are all."""
    taken: dict[int, list[Batch]] = {}
    rows, whole = 0, True
    for place in _scattered(len(paths)):
        if rows >= HEAD_ROWS:
            whole = False
            break
        taken[place], complete = _head(read(paths[place], layout))
        rows += sum(batch.rows.height for batch in taken[place])
        whole = whole and complete
    return [batch for place in sorted(taken) for batch in taken[place]], whole


def _scattered(count: int) -> list[int]:
    """The places 0 to count - 1 in an order whose every beginning is spread over all of them, and
    falls in with no period of theirs."""
    return sorted(range(count), key=lambda place: place * _GOLDEN % 1)


def _head(batches: Iterator[Batch]) -> tuple[list[Batch], bool]:
    taken: list[Batch] = []
    rows = 0
    for batch in batches:
        if rows >= HEAD_ROWS:
            return taken, False
        taken.append(batch)
        rows += batch.rows.height
    return taken, True
