"""One JSON object a line as batches of String columns.

Every value becomes text: numbers as they are (ids above 2^63 stay exact), nested values as JSON
text. So neither batch size nor what other lines hold changes what a line says.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from events.batches import Batch, rejects_frame
from events.lines import BLOCK_BYTES, Block, Reject, blocks, shown, usable_lines
from runtime.settings_sources import FileFormat


def read_ndjson(path: Path, layout: FileFormat, block_bytes: int = BLOCK_BYTES) -> Iterator[Batch]:
    """Raises InputError. Of `layout` only the encoding is not told by the lines."""
    for block in blocks(path, layout.encoding, block_bytes):
        yield _parse(block)


def _parse(block: Block) -> Batch:
    data, numbers, rejects = usable_lines(block)
    rows = parse_objects(data)
    if rows is None or rows.height != len(numbers):
        lines = data.removesuffix(b"\n").split(b"\n")
        faults = {i: fault for i, line in enumerate(lines) if (fault := _fault(line))}
        good = [i for i in range(len(lines)) if i not in faults]
        for i in refused(lines, good):
            faults[i] = "not a JSON object that can be read"
        for i, reason in faults.items():
            rejects.append(Reject(int(numbers[i]), reason, shown(lines[i])))
        good = [i for i in good if i not in faults]
        numbers = numbers[good]
        rows = parse_objects(b"\n".join(lines[i] for i in good))
    assert rows is not None
    return Batch(rows, pl.Series("line", numbers, pl.Int64()), rejects_frame(rejects))


def parse_objects(data: bytes) -> pl.DataFrame | None:
    """None where some line is not a JSON object."""
    if not data:
        return pl.DataFrame()
    try:
        names = pl.scan_ndjson(io.BytesIO(data), infer_schema_length=None).collect_schema().names()
        return pl.read_ndjson(io.BytesIO(data), schema=dict.fromkeys(names, pl.String()))
    except PolarsError:
        return None


def _fault(line: bytes) -> str | None:
    try:
        found = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    return None if isinstance(found, dict) else f"a JSON {type(found).__name__}, not an object"


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")


def refused(lines: list[bytes], some: list[int]) -> list[int]:
    """Those lines that Polars refuses, by halving."""
    if parse_objects(b"\n".join(lines[i] for i in some)) is not None:
        return []
    if len(some) == 1:
        return some
    half = len(some) // 2
    return refused(lines, some[:half]) + refused(lines, some[half:])
