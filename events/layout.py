"""How many buckets a log is parted into: chosen once, from its size, at the first ingest."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

from events.lines import GZIP_MAGIC
from events.parquet_reader import parquet_rows
from events.sniff import file_format
from runtime.settings_sources import FileFormat

BUCKET_ROWS = 1_000_000
MOST_BUCKETS = 65_536
SAMPLE_BYTES = 1 << 20
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def buckets_for(rows: int) -> int:
    """The smallest power of two of buckets that hold a million rows each; at most 65,536."""
    needed = -(-max(rows, 1) // BUCKET_ROWS)
    return min(1 << (needed - 1).bit_length(), MOST_BUCKETS)


def estimate_rows(files: Iterable[tuple[Path, FileFormat]]) -> int:
    """The rows of files of any format: exact for Parquet; for text, from the size and the lines
    in the first megabyte, gunzipped or not. Raises InputError."""
    return sum(_rows(path, layout) for path, layout in files)


def _rows(path: Path, layout: FileFormat) -> int:
    if file_format(path, layout.format, layout.encoding) == "parquet":
        return parquet_rows(path)
    with path.open("rb") as file:
        sample = file.read(SAMPLE_BYTES)
    text = sample
    if sample.startswith(GZIP_MAGIC):
        # What does not unpack is told where the file is read.
        text = _gunzipped(sample)
    lines = max(text.count(b"\n"), text.count(b"\r"), 1)
    return round(lines * path.stat().st_size / len(sample))


def _gunzipped(sample: bytes) -> bytes:
    try:
        return zlib.decompressobj(_GZIP_WINDOW).decompress(sample)
    except zlib.error:
        return b""
