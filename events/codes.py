"""Texts of a bucket as numbers, read off the dictionaries of its Parquet files.

A file holds each text once and a number a row. To make texts of the numbers, and then numbers of
the texts, is what takes longest in reading a bucket.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from events.store import EventStore, known_before

OTHER = 0  # the code of a text that has none of its own


def scan_coded(store: EventStore, bucket: int, names: Mapping[str, Sequence[str]]) -> pl.LazyFrame:
    """`store.scan(bucket)` with `<column>_code` for each column of `names`: Int16, 1 + the place
    of the row's text among the column's names, OTHER for any other text, null for null.

    Memory: the codes of the bucket; they are read at once, the rest when the plan is collected.
    """
    files, rows = store.table.files_of(bucket=bucket), store.table.scan(bucket=bucket)
    read = [_read(file, list(names)) for file in files]
    codes = pl.DataFrame(
        {
            f"{column}_code": pl.concat([_codes(table[column], places) for table in read])
            for column, places in names.items()
        }
    )
    both = pl.concat([rows, codes.lazy()], how="horizontal", strict=True)
    return both.filter(known_before(store.as_of))


def _read(file: Path, columns: list[str]) -> pa.Table:
    return pq.ParquetFile(file, read_dictionary=columns).read(columns, use_threads=False)


def _codes(texts: pa.ChunkedArray, names: Sequence[str]) -> pl.Series:
    code_of = {name: place for place, name in enumerate(names, 1)}
    chunks = [_codes_of_chunk(chunk, code_of) for chunk in texts.chunks]
    return pl.concat([pl.Series(dtype=pl.Int16), *chunks])


def _codes_of_chunk(texts: pa.DictionaryArray, code_of: Mapping[str, int]) -> pl.Series:
    held = [code_of.get(text, OTHER) for text in texts.dictionary.to_pylist()]
    places = pl.Series(texts.indices)
    return pl.Series(held, dtype=pl.Int16).gather(places)  # null for null
