"""Files of a source, in order, as streams of batches, whatever their format."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from events.batches import Batch
from events.csv_reader import csv_layout, read_csv
from events.ndjson_reader import read_ndjson
from events.nested import unnested
from events.parquet_reader import parquet_names, read_parquet
from events.sniff import Format, file_format, format_by_name
from runtime.errors import InputError
from runtime.settings import Settings
from runtime.settings_sources import FileFormat

_READERS: dict[Format, Callable[[Path, FileFormat], Iterator[Batch]]] = {
    "csv": read_csv,
    "ndjson": read_ndjson,
    "parquet": read_parquet,
}
PARTITION = re.compile(r"[^._=][^=]*=|\d")  # "year=2024", "2024-05", "05"


@dataclass(frozen=True)
class InputFile:
    """`shown` is the path relative to the folder of holdfast.toml, where it lies under it."""

    path: Path
    shown: str


def find_files(settings: Settings, layout: FileFormat, called: str) -> list[InputFile]:
    """The files of a source in the order of their names; a folder stands for the files in it, or
    in its partitions.

    Raises InputError naming the path that matches nothing.
    """
    named = (layout.path,) if isinstance(layout.path, str) else layout.path
    found: dict[str, InputFile] = {}
    for pattern in named:
        for path in _matching(settings.resolve(pattern), layout, f"{called}: {pattern}"):
            text = _relative(path, settings)
            found[text] = InputFile(path, text)
    return [found[text] for text in sorted(found)]


def _matching(path: Path, layout: FileFormat, called: str) -> list[Path]:
    if path.is_dir():
        files = [p for p in _data_in(path) if layout.format in (None, format_by_name(p))]
        if not files:
            raise _no_file(called)
        return files
    if path.exists():
        return [path]
    if not glob.has_magic(str(path)):
        raise InputError(f"{called}: no such file; correct 'path'")
    named = glob.glob(str(path), recursive=True)  # noqa: PTH207 (the pattern may be absolute)
    files = [Path(name) for name in sorted(named) if Path(name).is_file()]
    if not files:
        raise InputError(f"{called}: no file matches; correct 'path'")
    return files


def find_in_folder(path: Path) -> list[Path]:
    """The path itself, or the files of a folder, or of its partitions, that by their names can be
    read."""
    if not path.is_dir():
        return [path]
    files = _data_in(path)
    if not files:
        raise _no_file(str(path))
    return files


def _no_file(called: str) -> InputError:
    return InputError(
        f"{called}: the folder holds no file to read, nor does a folder in it that is called like "
        "'year=2024' or '2024-05'; name another path"
    )


def _data_in(folder: Path) -> list[Path]:
    """The files that lie in the folder; where there are none, those in the folders in it that are
    called as partitions are: no other folder, it might be the store or an export."""
    inside = sorted(folder.iterdir())
    files = [path for path in inside if path.is_file() and _named_as_data(path)]
    if files:
        return files
    parts = [path for path in inside if path.is_dir() and PARTITION.match(path.name)]
    return [path for part in parts for path in _data_in(part)]


def _named_as_data(path: Path) -> bool:
    return not path.name.startswith((".", "_")) and format_by_name(path) is not None


def _relative(path: Path, settings: Settings) -> str:
    folder = settings.resolve(".").resolve()
    absolute = path.resolve()
    return str(absolute.relative_to(folder)) if absolute.is_relative_to(folder) else str(absolute)


def read(path: Path, layout: FileFormat) -> Iterator[Batch]:
    """The rows of one file. Raises InputError, SchemaError."""
    batches = _READERS[file_format(path, layout.format, layout.encoding)](path, layout)
    return unnested(batches, layout.unnest) if layout.unnest else batches


def fixed_columns(path: Path, layout: FileFormat) -> list[str] | None:
    """The columns that every row of the file has; None for NDJSON and objects that are unnested,
    where each line has its own. Raises InputError, SchemaError."""
    match file_format(path, layout.format, layout.encoding):
        case _ if layout.unnest:
            return None
        case "csv":
            return list(csv_layout(path, layout).names)
        case "parquet":
            return parquet_names(path)
        case _:
            return None
