"""Text files as blocks of whole lines: gunzipped, as UTF-8 without a mark, memory bounded.

A line is counted as an editor counts it, from 1. Lines that no reader can use (too long, not
UTF-8) come out as rejects instead, so that one bad line costs one row.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from runtime.errors import InputError

BLOCK_BYTES = 16 << 20
MAX_LINE_BYTES = 1 << 20
RAW_CHARS = 4096
GZIP_MAGIC = b"\x1f\x8b"
NOT_UTF8 = "not UTF-8 text"
BOM = b"\xef\xbb\xbf"
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Reject:
    """A line that cannot be used: `line` from 1, `reason` in words, `raw` cut at RAW_CHARS."""

    line: int
    reason: str
    raw: str


@dataclass
class Block:
    """Whole lines, each ended by one newline byte; `first` is the number of the first."""

    data: bytes
    first: int
    rejects: list[Reject] = field(default_factory=list)


def shown(raw: bytes) -> str:
    return raw[: 4 * RAW_CHARS].decode("utf-8", "replace")[:RAW_CHARS]


class Recoded:
    """Text of another encoding as bytes of UTF-8. What the encoding has no sign for stays as it
    is, so that its line is no UTF-8 and is rejected alone."""

    def __init__(self, file: Bytes, encoding: str) -> None:
        self.file = file
        self.decoder = codecs.getincrementaldecoder(encoding)(errors="surrogateescape")

    def __enter__(self) -> Recoded:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.file.__exit__(kind, error, at)

    def read(self, size: int) -> bytes:
        while data := self.file.read(size):
            if text := self.decoder.decode(data):
                return text.encode("utf-8", "surrogateescape")
        return self.decoder.decode(b"", final=True).encode("utf-8", "surrogateescape")


Bytes = BinaryIO | gzip.GzipFile | Recoded


def open_text(path: Path, encoding: str | None = None) -> Bytes:
    """The file's bytes as UTF-8, gunzipped where it is gzip. Raises InputError."""
    try:
        with _unpacked(path) as file:
            start = read_bytes(file, 2, path)
        found = encoding or ("utf-16" if start in UTF16_MARKS else "utf-8")
        plain = codecs.lookup(found).name == "utf-8"
        return _unpacked(path) if plain else Recoded(_unpacked(path), found)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def _unpacked(path: Path) -> BinaryIO | gzip.GzipFile:
    with path.open("rb") as file:
        zipped = file.read(2) == GZIP_MAGIC
    return gzip.open(path, "rb") if zipped else path.open("rb")


def read_bytes(file: Bytes, size: int, path: Path) -> bytes:
    """Up to `size` bytes. Raises InputError where the gzip stream is cut off or broken."""
    try:
        return file.read(size)
    except EOFError:
        raise InputError(f"{path}: the gzip file is cut off; fetch it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: the gzip file is broken ({error}); fetch it again") from None
    except UnicodeError as error:
        raise InputError(f"{path}: is no text of its encoding ({error}); set 'encoding'") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def head(path: Path, encoding: str | None = None, size: int = 1 << 18) -> bytes:
    """The first bytes of the text, for a look at its layout; newlines are '\\n'."""
    with open_text(path, encoding) as file:
        data = read_bytes(file, size, path).removeprefix(BOM)
    return _plain_newlines(data, _is_old_mac(data))


def blocks(
    path: Path, encoding: str | None = None, block_bytes: int = BLOCK_BYTES
) -> Iterator[Block]:
    """The file's lines in blocks of about `block_bytes`. Raises InputError."""
    with open_text(path, encoding) as file:
        first, rest, mac, rejects = 1, b"", None, list[Reject]()
        while chunk := read_bytes(file, block_bytes, path):
            if mac is None:
                chunk = chunk.removeprefix(BOM)
                mac = _is_old_mac(chunk)
            data = rest + _plain_newlines(chunk, mac) if rest or mac else chunk
            cut = data.rfind(b"\n") + 1
            if not cut and len(data) > MAX_LINE_BYTES:
                found, rest = _skip_line(file, data, block_bytes, path, mac)
                rejects.append(Reject(first, _too_long(found), shown(data)))
                first += 1
                continue
            rest = data[cut:]
            if cut:
                block = Block(_plain_newlines(data[:cut], mac), first, rejects)
                first += block.data.count(b"\n")
                rejects = []
                yield block
        if rest or rejects:
            yield Block(_plain_newlines(rest, bool(mac)) + b"\n" * bool(rest), first, rejects)


def _is_old_mac(data: bytes) -> bool:
    return b"\r" in data and b"\n" not in data


def _plain_newlines(data: bytes, mac: bool) -> bytes:
    if mac:
        return data.replace(b"\r", b"\n")
    return data.replace(b"\r\n", b"\n") if b"\r" in data else data


def _skip_line(file: Bytes, data: bytes, size: int, path: Path, mac: bool) -> tuple[int, bytes]:
    """Reads on to the end of an overlong line: its length and what follows it."""
    length = len(data)
    while chunk := read_bytes(file, size, path):
        chunk = _plain_newlines(chunk, mac)
        end = chunk.find(b"\n")
        if end >= 0:
            return length + end, chunk[end + 1 :]
        length += len(chunk)
    return length, b""


def _too_long(size: int) -> str:
    return f"a line of {size:,} bytes; the longest that is read has {MAX_LINE_BYTES:,}"


def squeeze_blanks(data: bytes) -> bytes:
    """Fields parted by runs of blanks or tabs as fields parted by one blank."""
    data = data.replace(b"\t", b" ")
    while b"  " in data:
        data = data.replace(b"  ", b" ")
    return data.replace(b"\n ", b"\n").replace(b" \n", b"\n").removeprefix(b" ")


def line_ends(data: bytes) -> npt.NDArray[np.int64]:
    return np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")).astype(np.int64)


def usable_lines(block: Block) -> tuple[bytes, npt.NDArray[np.int64], list[Reject]]:
    """The lines that are neither blank, overlong nor broken UTF-8, their numbers, the rejects."""
    ends = line_ends(block.data)
    starts = np.concatenate(([0], ends[:-1] + 1)).astype(np.int64)
    numbers = np.arange(block.first, block.first + len(ends), dtype=np.int64)
    length = ends - starts
    rejects = list(block.rejects)
    broken = _broken_lines(block.data, ends)
    for index in np.flatnonzero(length > MAX_LINE_BYTES):
        raw = block.data[starts[index] : ends[index]]
        rejects.append(Reject(int(numbers[index]), _too_long(len(raw)), shown(raw)))
    for index in np.flatnonzero(broken & (length <= MAX_LINE_BYTES)):
        raw = block.data[starts[index] : ends[index]]
        rejects.append(Reject(int(numbers[index]), NOT_UTF8, shown(raw)))
    keep = (length > 0) & (length <= MAX_LINE_BYTES) & ~broken
    if keep.all():
        return block.data, numbers, rejects
    bytes_kept = np.repeat(keep, length + 1)
    data = np.frombuffer(block.data, dtype=np.uint8)[bytes_kept].tobytes()
    return data, numbers[keep], rejects


def _broken_lines(data: bytes, ends: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    broken = np.zeros(len(ends), dtype=np.bool_)
    view, start = memoryview(data), 0
    while start < len(data):
        try:
            str(view[start:], "utf-8")
            break
        except UnicodeDecodeError as error:
            index = int(np.searchsorted(ends, start + error.start))
            broken[index] = True
            start = int(ends[index]) + 1
    return broken
