"""Groups that have been found, with their names: kept as JSON, applied to any later snapshot."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from features.definitions import Definitions
from features.plan import VERSION
from features.spec import FeatureSpec
from runtime.clock import show
from runtime.errors import ModelError
from runtime.files import digest_of, write_json
from runtime.settings import Settings
from training.groups_engines import Cut, Method, Whole
from training.groups_space import Space
from training.rows import matrix

FORMAT = {"holdfast": "groups", "schema_version": 2, "features_version": VERSION}
NO_GROUP = "scattered (no group)"


@dataclass(frozen=True)
class Named:
    """`reason`: the figures behind each word of the name; `core`: one of the core users' groups."""

    name: str
    reason: str
    core: bool


@dataclass(frozen=True)
class GroupModel:
    """`named`: of the groups 1, 2, ... in order. Group 0 is nobody's: HDBSCAN's noise."""

    spec: FeatureSpec
    as_of: datetime
    space: Space
    method: Method
    size: int | None  # what the method was given; None where all are one group
    fit_users: int
    cut: Cut
    named: tuple[Named, ...] = ()

    def assign(self, frame: pl.DataFrame) -> Whole:
        """The number of each row's group, shape (n,). Raises ModelError naming missing columns."""
        if not len(frame):
            return np.empty(0, dtype=np.int64)
        return self.cut.assign(self.space(matrix(frame, self.space.features)))

    def name(self, number: int) -> str:
        return self.named[number - 1].name if number else NO_GROUP

    def is_core(self, number: int) -> bool:
        return bool(number) and self.named[number - 1].core

    @property
    def numbers(self) -> tuple[int, ...]:
        """Those of the groups there are, noise last."""
        noise = (0,) if (self.cut.group == 0).any() else ()
        return (*range(1, self.cut.groups + 1), *noise)

    def save(self, path: Path) -> Path:
        """One JSON file, whole or absent, with the digest of what it holds."""
        held = self._held()
        return write_json(path, {**FORMAT, "digest": digest_of(held), "groups": held})

    def _held(self) -> dict[str, Any]:
        return {
            "spec": self.spec.to_dict(),
            "as_of": self.as_of.isoformat(),
            "space": self.space.to_dict(),
            "method": self.method,
            "size": self.size,
            "fit_users": self.fit_users,
            "points": self.cut.points.tolist(),
            "of_group": self.cut.group.tolist(),
            "number": self.cut.groups,
            "named": [asdict(one) for one in self.named],
        }

    @classmethod
    def load(cls, path: Path) -> GroupModel:
        """Raises ModelError where the file is not there, is of another version or was changed."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{path}: holds no readable groups ({error}); save them with "
                "'holdfast groups --save'"
            ) from None
        found = {key: raw.get(key) for key in FORMAT} if isinstance(raw, dict) else raw
        if found != FORMAT:
            raise ModelError(f"{path}: holds {found}, this Holdfast reads {FORMAT}; save it again")
        if digest_of(raw.get("groups")) != raw.get("digest"):
            raise ModelError(f"{path}: was changed since it was saved; save the groups again")
        return cls._of(raw["groups"])

    @classmethod
    def _of(cls, held: dict[str, Any]) -> GroupModel:
        group = np.array(held["of_group"], dtype=np.int64)
        points = np.array(held["points"], dtype=np.float64).reshape(len(group), -1)
        return cls(
            spec=FeatureSpec.from_dict(held["spec"]),
            as_of=datetime.fromisoformat(held["as_of"]),
            space=Space.from_dict(held["space"]),
            method=held["method"],
            size=held["size"],
            fit_users=held["fit_users"],
            cut=Cut(points, group, held["number"]),
            named=tuple(Named(**one) for one in held["named"]),
        )

    def require_fit(self, path: Path, as_of: datetime, settings: Settings) -> None:
        """Raises ModelError where the groups have seen what came after `as_of`, or were found
        under other definitions of activity and churn."""
        if self.as_of > as_of:
            raise ModelError(
                f"{path}: these groups were found as of {show(self.as_of)}, they have seen what "
                f"happened after {show(as_of)}; find them with --as-of {show(as_of)}"
            )
        theirs, ours = self.spec.definitions.to_dict(), Definitions.of(settings).to_dict()
        for section, mine in ours.items():
            for key, value in mine.items():
                if theirs[section].get(key) != value:
                    raise ModelError(
                        f"{path}: these groups were found with {section}.{key} = "
                        f"{theirs[section].get(key)!r}, holdfast.toml says {value!r}; find them "
                        "again"
                    )
