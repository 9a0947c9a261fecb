"""Files of a source as the paths of a proposed holdfast.toml, and what to call them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from events.readers import PARTITION

PIECES = ("", "part", "data", "chunk", "file")  # what tools call the files of a partition


def paths_of(files: Sequence[Path], folder: Path) -> list[str]:
    """A pattern that matches them alone, or else each by itself."""
    paths = sorted(files)
    pattern = _pattern(paths)
    if pattern is not None:
        return [relative(pattern, folder)]
    return [relative(path, folder) for path in paths]


def _pattern(paths: Sequence[Path]) -> Path | None:
    """A glob that matches these files and no other; None for one file or where there is none."""
    parent, suffix = _shared_folder(paths), "".join(paths[0].suffixes[-2:])
    prefix = _shared_start([path.name for path in paths])
    prefix = re.sub(r"[\d\[\]*?]+$", "", prefix)
    if len(paths) == 1 or re.search(r"[*?\[\]]", str(parent) + prefix):
        return None
    deeper = "*/" * (len(paths[0].parts) - len(parent.parts) - 1)
    for pattern in (f"{deeper}*{suffix}", f"{deeper}{prefix}*{suffix}"):
        if sorted(parent.glob(pattern)) == list(paths):
            return parent / pattern
    return None


def _shared_folder(paths: Sequence[Path]) -> Path:
    """The innermost that all lie in; of files in several folders, none that is a partition."""
    parents = {path.parent for path in paths}
    shared = Path(os.path.commonpath(parents))
    while len(parents) > 1 and PARTITION.match(shared.name):
        shared = shared.parent
    return shared


def relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def names_of(groups: Sequence[Sequence[Path]]) -> list[str]:
    """A name for each group of files, from what their names have in common and others have not."""
    stems = [_shared_start([stem_of(path) for path in group]) for group in groups]
    shared = _shared_start(stems) if len(stems) > 1 else ""
    shared = re.sub(r"[^_-]*$", "", shared)
    names: list[str] = []
    for stem, group in zip(stems, groups, strict=True):
        name = as_name(stem.removeprefix(shared))
        if name in PIECES and len({path.parent for path in group}) > 1:
            name = as_name(_shared_folder(group).resolve().name)
        name = name or "events"
        while name in names:
            name += "_2"
        names.append(name)
    return names


def as_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("_.-0123456789")


def _shared_start(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    same = (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return first[: next(same, min(len(first), len(last)))]


def stem_of(path: Path) -> str:
    return path.name.split(".")[0]
