"""A folder of files that is read as it was written or not at all.

`bundle.json` names every file with its SHA-256. Who changes a file has to change it too, and its
own digest is kept with the run (`training.tracking`), in the database.
"""

from __future__ import annotations

import json
from pathlib import Path

from runtime.errors import ModelError
from runtime.files import digest_file, write_json

SEAL = "bundle.json"


def seal(folder: Path) -> Path:
    """Writes the seal of all files in the folder, last of all."""
    return write_json(folder / SEAL, {"files": _digests(folder)})


def digest(folder: Path) -> str:
    """SHA-256 of the seal. Raises ModelError where there is none."""
    try:
        return digest_file(folder / SEAL)
    except OSError as error:
        raise ModelError(f"{folder}: holds no sealed model ({error}); train again") from None


def check(folder: Path) -> None:
    """Raises ModelError naming a file that was changed, added or taken away since the sealing."""
    try:
        said = json.loads((folder / SEAL).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder}: holds no sealed model ({error}); train again") from None
    found = _digests(folder)
    for name in sorted({*said, *found}):
        if said.get(name) != found.get(name):
            how = "was added" if name not in said else "is gone"
            how = "was changed" if name in said and name in found else how
            raise ModelError(
                f"{folder / name}: {how} after the model was written; restore it, or train again"
            )


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SEAL)
    return {path.relative_to(folder).as_posix(): digest_file(path) for path in files}
