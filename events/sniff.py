"""What a file is: its format, and for text with delimiters the delimiter."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from events.lines import GZIP_MAGIC, head, squeeze_blanks
from runtime.errors import InputError

Format = Literal["csv", "parquet", "ndjson"]
SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".dat": "csv",
    ".log": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
    ".parquet": "parquet",
    ".pq": "parquet",
}
DELIMITERS = (",", ";", "\t", "|", "::")
WHITESPACE = "whitespace"
UNIT_SEPARATOR = "\x1f"  # stands for a delimiter of several characters
PARQUET_MAGIC = b"PAR1"
LOOKED_AT_LINES = 200
MOST_CONTROL_SHARE = 0.1
FOREIGN = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or save the sheet as CSV",
    b"SQLite format 3": "a SQLite database; export its table as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as CSV",
    b"BZh": "packed by bzip2; unpack it, or pack it by gzip",
    b"\x28\xb5\x2f\xfd": "packed by zstd; unpack it, or pack it by gzip",
    b"\xfd7zXZ\x00": "packed by xz; unpack it, or pack it by gzip",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive; unpack it",
    b"Rar!": "a RAR archive; unpack it",
}


def format_by_name(path: Path) -> Format | None:
    name = path.name.lower().removesuffix(".gz")
    return SUFFIXES.get(Path(name).suffix)


def file_format(path: Path, asked: Format | None, encoding: str | None = None) -> Format:
    """The format asked for, or by the name, or by the first bytes; raises InputError where the
    file is empty, or its bytes cannot be of that format."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not start:
        raise InputError(f"{path}: the file is empty; remove it or fetch it again")
    found = asked or format_by_name(path)
    if found == "parquet" or (found is None and start.startswith(PARQUET_MAGIC)):
        return "parquet"
    if path.name.lower().endswith(".gz") and not start.startswith(GZIP_MAGIC):
        raise InputError(f"{path}: is named .gz but is not gzip; fetch it again or rename it")
    text = head(path, encoding)
    _refuse_binary(path, text)
    by_content: Format = "ndjson" if text.lstrip().startswith(b"{") else "csv"
    if (found or by_content) == "ndjson" and text.lstrip().startswith(b"["):
        raise InputError(f"{path}: is one JSON array; write one JSON object a line instead")
    return found or by_content


def _refuse_binary(path: Path, text: bytes) -> None:
    if not text.strip():
        raise InputError(f"{path}: the file is empty; remove it or fetch it again")
    if what := next((w for magic, w in FOREIGN.items() if text.startswith(magic)), None):
        raise InputError(f"{path}: is {what}")
    if text.startswith(PARQUET_MAGIC):
        raise InputError(f"{path}: is Parquet, not text; set 'format' or name another file")
    if text.count(b"\0") > len(text) // 3:
        raise InputError(f"{path}: looks like UTF-16 text without its mark; save it as UTF-8")
    control = sum(text.count(bytes([c])) for c in range(32) if c not in b"\t\n\r\x0b\x0c")
    if b"\0" in text or control > MOST_CONTROL_SHARE * len(text):
        raise InputError(f"{path}: is binary, not text; set 'format' or name another file")


def delimiter_of(path: Path, encoding: str | None = None) -> str:
    """One of DELIMITERS or WHITESPACE: the one that cuts the first lines into the same number
    of fields, two or more; the finest of several, blanks only where no other does. A comma
    where none does."""
    lines = sample_lines(path, encoding)
    best, most = "", 1
    for delimiter in DELIMITERS:
        fields = usual_fields(split_lines(lines, delimiter))
        if fields > most:
            best, most = delimiter, fields
    if best:
        return best
    return WHITESPACE if usual_fields(split_lines(lines, WHITESPACE)) > 1 else ","


def sample_lines(path: Path, encoding: str | None = None, most: int = LOOKED_AT_LINES) -> list[str]:
    """The first lines that are not blank; the last is left out where it may be cut off."""
    data = head(path, encoding)
    whole = data[: data.rfind(b"\n") + 1] or data
    return [s for s in whole.decode("utf-8", "replace").split("\n") if s.strip()][:most]


def one_character(data: bytes, delimiter: str) -> tuple[bytes, str]:
    """The text with its delimiter, as told, as one character; and that."""
    if delimiter == WHITESPACE:
        return squeeze_blanks(data), " "
    if len(delimiter) == 1:
        return data, delimiter
    return data.replace(delimiter.encode(), UNIT_SEPARATOR.encode()), UNIT_SEPARATOR


def split_lines(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    data, delimiter = one_character("\n".join(lines).encode() + b"\n", delimiter)
    lines = data.decode().removesuffix("\n").split("\n")
    try:
        return [row for row in csv.reader(lines, delimiter=delimiter) if row]
    except csv.Error:
        return [line.split(delimiter) for line in lines]


def usual_fields(rows: Sequence[Sequence[str]], share: float = 0.9) -> int:
    """The number of fields that nearly all rows have, where the first has as many, or, as a header
    that leaves some out, two at least; else 0."""
    if not rows:
        return 0
    fields, count = Counter(len(row) for row in rows).most_common(1)[0]
    first = len(rows[0])
    fits = first == fields or 1 < first < fields
    return fields if fits and count >= share * len(rows) else 0
