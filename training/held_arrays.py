"""Arrays, boosters and a JSON header in one file, in NumPy's format without pickles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from runtime.errors import ModelError

if TYPE_CHECKING:
    from xgboost import Booster

Arrays = Mapping[str, npt.NDArray[Any]]


def write(path: Path, kind: str, header: Mapping[str, Any], arrays: Arrays) -> None:
    """`kind` says what the file is, `header` is anything JSON can hold."""
    text = np.array(json.dumps({"holdfast": kind, **header}))
    with path.open("wb") as file:
        np.savez(file, header=text, **arrays)  # type: ignore[arg-type]


def read(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Header and arrays. Raises ModelError where the file is not of that kind."""
    try:
        with np.load(path, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
        header = json.loads(str(arrays.pop("header")))
        found = header.pop("holdfast")
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise ModelError(f"{path}: holds no readable {kind} ({error}); train again") from None
    if found != kind:
        raise ModelError(f"{path}: holds '{found}', not '{kind}'; train again")
    return header, arrays


def of_booster(booster: Booster) -> npt.NDArray[np.uint8]:
    """XGBoost's own UBJSON."""
    return np.frombuffer(bytes(booster.save_raw("ubj")), dtype=np.uint8)


def booster_of(held: npt.NDArray[np.uint8]) -> Booster:
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(bytearray(held.tobytes()))
    return booster
