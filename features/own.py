"""A project's own features: a Python file, named in holdfast.toml, that defines `family(spec)`.

It returns a Family like the ones beside this module: measures of rows and columns made of
them. Its measures may read the prepared rows' columns and those of the event contract. They are
under the same proof as all others: `holdfast leakcheck`, and translation to cuDF.
"""

from __future__ import annotations

import sys
import traceback
from functools import lru_cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from features.family import UNITS, Family
from features.spec import FeatureSpec, OwnFile
from runtime.errors import SettingsError
from runtime.files import digest_file


def own(spec: FeatureSpec) -> Family:
    """Raises SettingsError where the file is not there, has changed or is no family."""
    return Family() if spec.own is None else _checked(spec.own, spec)


def own_file(path: Path) -> OwnFile:
    """Raises SettingsError where there is no such file."""
    if not path.is_file():
        raise SettingsError(f"features.own: no file {path}; correct the path or leave it out")
    return OwnFile(str(path.resolve()), digest_file(path))


def _checked(file: OwnFile, spec: FeatureSpec) -> Family:
    made = _family(file, spec)
    for column in made.columns:
        feature = column.feature
        if feature.unit not in UNITS:
            raise SettingsError(
                f"{file.path}: feature '{feature.name}' has unit '{feature.unit}'; known: "
                f"{', '.join(UNITS)}"
            )
        if not feature.description or not feature.said:
            raise SettingsError(
                f"{file.path}: feature '{feature.name}' has no words; give a description and "
                "what a value says"
            )
    return made


def _family(file: OwnFile, spec: FeatureSpec) -> Family:
    module = _load(file)
    make = getattr(module, "family", None)
    if not callable(make):
        raise SettingsError(f"{file.path}: defines no function 'family(spec)'; add it")
    try:
        made = make(spec)
    except Exception as error:
        raise SettingsError(f"{file.path}: {_where(error, file.path)}") from error
    if not isinstance(made, Family):
        raise SettingsError(f"{file.path}: family(spec) returned {type(made).__name__}, no Family")
    return made


@lru_cache(maxsize=8)
def _load(file: OwnFile) -> ModuleType:
    path = Path(file.path)
    if not path.is_file():
        raise SettingsError(f"features.own: no file {path}, which the features were made with")
    if digest_file(path) != file.digest:
        raise SettingsError(
            f"{path}: has changed since the features were made with it; restore it, or take the "
            "snapshot or train again"
        )
    name = f"holdfast_own_{file.digest[:16]}"
    found = spec_from_file_location(name, path)
    assert found is not None, "a file that is there has a loader"
    assert found.loader is not None, "a file that is there has a loader"
    module = module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except Exception as error:
        raise SettingsError(f"{path}: {_where(error, file.path)}") from error
    return module


def _where(error: Exception, path: str) -> str:
    """The error in one line, with the line of the file where it arose."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
    place = f"line {lines[-1]}: " if lines else ""
    return f"{place}{type(error).__name__}: {error}"
