"""What every reader yields: rows as a frame, their line numbers, and the lines it rejected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from events.lines import RAW_CHARS, Reject

REJECTS = {"line": pl.Int64(), "reason": pl.String(), "raw": pl.String()}


@dataclass(frozen=True)
class Batch:
    """`lines[i]` is the 1-based line (CSV, NDJSON) or row (Parquet) of row i of `rows`."""

    rows: pl.DataFrame
    lines: pl.Series
    rejects: pl.DataFrame


def rejects_frame(rejects: Iterable[Reject]) -> pl.DataFrame:
    found = [(r.line, r.reason, r.raw[:RAW_CHARS]) for r in rejects]
    return pl.DataFrame(found, schema=REJECTS, orient="row")
