"""A project's own features: a Python file, named in holdfast.toml, that defines `family(spec)`.

It returns a Family like the ones beside this module: measures of rows and columns made of
them. Its measures may read the prepared rows' columns and those of the event contract. They are
under the same proof as all others: `holdfast leakcheck`, and translation to cuDF.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import polars as pl

from events.contract import EVENTS
from features.family import UNITS, Column, Family
from features.measure import How, Measure, Stream
from features.spec import FeatureSpec, OwnFile
from features.streams import begun, prepare, stream
from runtime.errors import SettingsError
from runtime.files import digest_file, digest_of_bytes

WHOLE = ("count", "flag")


def own(spec: FeatureSpec) -> Family:
    """Raises SettingsError where the file is not there, has changed or is no family."""
    return Family() if spec.own is None else _checked(spec.own, spec)


def own_file(path: Path) -> OwnFile:
    """Raises SettingsError where there is no such file."""
    if not path.is_file():
        raise SettingsError(f"features.own: no file {path}; correct the path or leave it out")
    return OwnFile(str(path.resolve()), digest_file(path))


def place(spec: FeatureSpec, name: str) -> str:
    """The file, and the line in which a measure or feature is named, for an error."""
    assert spec.own is not None, "only a project's own features are placed"
    return _place(spec.own, name)


@lru_cache(maxsize=8)
def _checked(file: OwnFile, spec: FeatureSpec) -> Family:
    made = _family(file, spec)
    rows: dict[str, pl.LazyFrame] = {}
    for name, measure in made.measures.items():
        _check_measure(file, spec, name, measure, rows)
    return replace(made, columns=tuple(_checked_column(file, column) for column in made.columns))


def _checked_column(file: OwnFile, column: Any) -> Column:
    if not isinstance(column, Column):
        raise SettingsError(
            f"{_place(file, 'family')}: its columns hold a {type(column).__name__}; make each with "
            "features.family.column"
        )
    feature = column.feature
    if feature.unit not in UNITS:
        raise SettingsError(
            f"{_place(file, feature.name)}: feature '{feature.name}' has unit '{feature.unit}'; "
            f"take one of {', '.join(UNITS)}"
        )
    if not feature.description or not feature.said:
        raise SettingsError(
            f"{_place(file, feature.name)}: feature '{feature.name}' has no words; give a "
            "description and what a value says"
        )
    kind = pl.Int64 if feature.unit in WHOLE else pl.Float64
    return replace(column, value=column.value.cast(kind))


def _check_measure(
    file: OwnFile, spec: FeatureSpec, name: str, measure: Any, rows: dict[str, pl.LazyFrame]
) -> None:
    """Whether its value is an expression over the columns of its stream."""
    at = _place(file, name)
    if not isinstance(measure, Measure):
        raise SettingsError(f"{at}: measure '{name}' is no Measure; make it with Measure(...)")
    if not isinstance(measure.value, pl.Expr):
        raise SettingsError(
            f"{at}: measure '{name}' has a value that is no expression; make it with polars.col"
        )
    for what, value, known in (("stream", measure.stream, Stream), ("how", measure.how, How)):
        if value not in get_args(known):
            allowed = ", ".join(get_args(known))
            raise SettingsError(
                f"{at}: measure '{name}' has {what} '{value}'; take one of {allowed}"
            )
    if measure.stream not in rows:
        empty = prepare(pl.LazyFrame(schema=dict(EVENTS.schema)), spec)
        rows[measure.stream] = stream(begun(empty, spec), measure.stream, spec)
    try:
        rows[measure.stream].select(value=measure.of_row).collect_schema()
    except pl.exceptions.PolarsError as error:
        known_columns = ", ".join(rows[measure.stream].collect_schema())
        raise SettingsError(
            f"{at}: measure '{name}': {_first_line(error)}; rows of '{measure.stream}' have "
            f"{known_columns}"
        ) from error


def _family(file: OwnFile, spec: FeatureSpec) -> Family:
    make = getattr(_load(file), "family", None)
    if not callable(make):
        raise SettingsError(
            f"{file.path}: line 1: defines no function 'family(spec)'; add one that returns a "
            "features.family.Family"
        )
    try:
        made = make(spec)
    except (Exception, SystemExit) as error:
        raise SettingsError(f"{file.path}: {_where(error, file.path)}; correct it") from error
    if not isinstance(made, Family) or not isinstance(made.measures, Mapping):
        raise SettingsError(
            f"{_place(file, 'family')}: family(spec) returned a {type(made).__name__}; return a "
            "features.family.Family"
        )
    return made


@lru_cache(maxsize=8)
def _load(file: OwnFile) -> ModuleType:
    source = _source(file)
    module = ModuleType(f"holdfast_own_{file.digest[:16]}")
    module.__file__ = file.path
    sys.modules[module.__name__] = module  # dataclasses in it look themselves up
    try:
        # Not by the import system: its cache would take a file of the same size and second.
        exec(compile(source, file.path, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        raise SettingsError(f"{file.path}: {_where(error, file.path)}; correct it") from error
    return module


def _source(file: OwnFile) -> bytes:
    path = Path(file.path)
    if not path.is_file():
        raise SettingsError(
            f"features.own: no file {path}, which the features were made with; put it back, or "
            "take the snapshot or train again"
        )
    source = path.read_bytes()
    if digest_of_bytes(source) != file.digest:
        raise SettingsError(
            f"{path}: has changed since the features were made with it; restore it, or take the "
            "snapshot or train again"
        )
    return source


def _place(file: OwnFile, name: str) -> str:
    """The line that holds a name, or else the function's."""
    lines = _source(file).decode("utf-8", errors="replace").splitlines()
    for text in (f'"{name}"', f"'{name}'", "def family"):
        for number, line in enumerate(lines, start=1):
            if text in line:
                return f"{file.path}: line {number}"
    return file.path


def _where(error: BaseException, path: str) -> str:
    """The error in one line, with the line of the file where it arose."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
    if isinstance(error, SyntaxError) and error.filename == path:
        return f"line {error.lineno}: {type(error).__name__}: {error.msg}"
    at = f"line {lines[-1]}: " if lines else ""
    return f"{at}{type(error).__name__}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "")
