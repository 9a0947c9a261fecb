"""Delimited text as batches of String columns; every row keeps its line number.

A block without odd quotes goes through pyarrow; a block in which a quoted field may run over a
line end goes through Python's csv module, slower, by the same rules (tested against each other).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv

from events.batches import Batch, rejects_frame
from events.lines import BLOCK_BYTES, Block, Reject, blocks, line_ends, usable_lines
from events.odd_csv import odd_rows, ragged_reason
from events.sniff import delimiter_of, one_character
from runtime.errors import InputError, SchemaError
from runtime.settings_sources import FileFormat


@dataclass(frozen=True)
class CsvLayout:
    """`delimiter` as told: a character, several, or WHITESPACE."""

    names: tuple[str, ...]
    delimiter: str
    header: bool
    encoding: str | None


def csv_layout(path: Path, layout: FileFormat) -> CsvLayout:
    """Column names and delimiter of a file. Raises InputError, SchemaError."""
    delimiter = layout.delimiter or delimiter_of(path, layout.encoding)
    names = layout.names or _names_in(path, delimiter, layout)
    doubled = next((n for n in names if names.count(n) > 1), None)
    if doubled is not None:
        raise SchemaError(
            f"{path}: two columns are called '{doubled}'; give each a name with 'names = [...]'"
        )
    return CsvLayout(tuple(names), delimiter, layout.header, layout.encoding)


def _names_in(path: Path, delimiter: str, layout: FileFormat) -> tuple[str, ...]:
    first = next(blocks(path, layout.encoding, 1 << 16), Block(b"", 1))
    data, delimiter = one_character(first.data, delimiter)
    text = io.StringIO(data.decode("utf-8", "replace"), newline="")
    row = next((row for row in csv.reader(text, delimiter=delimiter) if row), [])
    if not row:
        raise InputError(f"{path}: has no usable first line; fetch it again")
    return tuple(
        (name.strip() if layout.header else "") or f"column_{i}" for i, name in enumerate(row, 1)
    )


def read_csv(path: Path, layout: FileFormat, block_bytes: int = BLOCK_BYTES) -> Iterator[Batch]:
    """Raises InputError, SchemaError."""
    form = csv_layout(path, layout)
    to_skip = form.header
    rest = b""
    source = blocks(path, form.encoding, block_bytes)
    block = next(source, None)
    while block is not None:
        following = next(source, None)
        data, cut = one_character(block.data, form.delimiter)
        current = Block(rest + data, block.first - rest.count(b"\n"), block.rejects)
        if to_skip:
            current, to_skip = _without_header(current, cut), False
        batch, rest = _parse(current, form.names, cut, last=following is None)
        yield batch
        block = following


def _without_header(block: Block, delimiter: str) -> Block:
    text = io.StringIO(block.data.decode("utf-8", "surrogateescape"), newline="")
    rows = csv.reader(text, delimiter=delimiter)
    while not next(rows, ["end"]):
        pass
    ends = line_ends(block.data)
    cut = int(ends[min(rows.line_num, len(ends)) - 1]) + 1
    return Block(block.data[cut:], block.first + rows.line_num, block.rejects)


def _parse(block: Block, names: Sequence[str], delimiter: str, last: bool) -> tuple[Batch, bytes]:
    """The block's rows, and the start of a quoted record that goes on in the next block."""
    plain = b'"' not in block.data or not _has_odd_quotes(block.data)
    if plain and (batch := _parse_fast(block, names, delimiter)):
        return batch, b""
    return odd_rows(block, names, delimiter, last)


def _has_odd_quotes(data: bytes) -> bool:
    """Whether some line has an odd number of quotes."""
    ends = line_ends(data)
    quotes = np.cumsum(np.frombuffer(data, dtype=np.uint8) == ord('"'), dtype=np.int64)
    return bool((quotes[ends] % 2).any()) if len(ends) else False


def _parse_fast(block: Block, names: Sequence[str], delimiter: str) -> Batch | None:
    """None where pyarrow's rows are not the block's lines one by one."""
    data, numbers, rejects = usable_lines(block)
    if not data:
        return Batch(_empty(names), pl.Series("line", [], pl.Int64()), rejects_frame(rejects))
    ragged: list[tuple[int, str]] = []

    def on_ragged(row: pacsv.InvalidRow) -> str:
        ragged.append((row.number, ragged_reason(row.actual_columns, names)))
        return "skip"

    try:
        table = _pyarrow_table(data, names, delimiter, on_ragged)
    except pa.ArrowInvalid:
        return None
    if table.num_rows + len(ragged) != len(numbers):
        return None
    if ragged:
        raws = data.split(b"\n")
        for row, reason in ragged:
            raw = raws[row - 1].decode("utf-8", "replace")
            rejects.append(Reject(int(numbers[row - 1]), reason, raw))
        numbers = np.delete(numbers, [row - 1 for row, _ in ragged])
    frame = pl.DataFrame(table)
    return Batch(frame, pl.Series("line", numbers, pl.Int64()), rejects_frame(rejects))


def _pyarrow_table(
    data: bytes, names: Sequence[str], delimiter: str, on_ragged: object
) -> pa.Table:
    return pacsv.read_csv(
        pa.BufferReader(data),
        read_options=pacsv.ReadOptions(
            column_names=list(names), use_threads=False, block_size=len(data) + 1
        ),
        parse_options=pacsv.ParseOptions(
            delimiter=delimiter, invalid_row_handler=on_ragged, newlines_in_values=False
        ),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=False,
            check_utf8=False,
        ),
    )


def _empty(names: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(schema=dict.fromkeys(names, pl.String()))
