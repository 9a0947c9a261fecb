"""holdfast.toml: read once, checked at the door, frozen ever after."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from runtime.errors import SettingsError
from runtime.settings_base import Days, Section, Zone
from runtime.settings_early import Early
from runtime.settings_funnel import Funnel
from runtime.settings_lifecycle import Lifecycle
from runtime.settings_paths import Paths
from runtime.settings_quality import Quality
from runtime.settings_report import Report
from runtime.settings_retention import Retention
from runtime.settings_sources import Source, Users
from runtime.settings_training import Training
from runtime.settings_words import in_words


class Project(Section):
    """Paths are relative to the folder of holdfast.toml."""

    name: str = Field(default="holdfast", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    timezone: Zone = "UTC"
    store: str = "store"
    exports: str = "exports"
    tracking: str = "mlruns"


class Events(Section):
    """`deduplicate`: drop rows with an event id seen before, or equal in every column, or none.
    `buckets`: chosen from the size of the first ingest where left out, then as recorded."""

    deduplicate: Literal["event_id", "row", "none"] = "row"
    earliest: str = "1970-01-01"
    latest: str | None = None
    buckets: int | None = Field(default=None, ge=1, le=65536)


class Activity(Section):
    """Which events count as the user being active; all when `events` is left out."""

    events: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()


class Eligible(Section):
    """Who is scored: active within so many days before the cutoff; ever, when left out."""

    within_days: Days | None = None


class Churn(Section):
    """passive: silence through the horizon. active: one of `events` or the users table's
    `date_column` within it. lapse: `period_days` plus `grace_days` after the last of `events`
    (renewals) without another one."""

    kind: Literal["passive", "active", "lapse"] = "passive"
    horizon_days: Days = 30
    gap_days: int = Field(default=0, ge=0, le=365)
    events: tuple[str, ...] = ()
    date_column: str | None = None
    period_days: Days | None = None
    grace_days: int = Field(default=0, ge=0, le=3650)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "active" and not self.events and not self.date_column:
            raise ValueError("active churn needs 'events' or 'date_column'")
        if self.kind == "lapse" and (not self.events or self.period_days is None):
            raise ValueError("lapse needs 'events' (the renewals) and 'period_days'")
        return self


class Value(Section):
    """The amounts of `events` (all when left out) summed over the horizon."""

    events: tuple[str, ...] | None = None
    horizon_days: Days | None = None


class Features(Section):
    """`set`: which features of the catalogue (`holdfast features` prints them): "lean",
    "default", "full", or one of `sets`, which names its features by patterns such as "gap_*".

    `own`: a Python file with features of the project's own. `failed_payment`, `support`: the
    events that are one. `holidays`: dates, for the set 'full'.
    """

    set: str = "default"
    sets: dict[str, tuple[str, ...]] = Field(default={})
    own: str | None = None
    failed_payment: tuple[str, ...] = ()
    support: tuple[str, ...] = ()
    holidays: tuple[date, ...] = ()
    windows_days: tuple[Days, ...] = (7, 30, 90, 365)
    session_gap_minutes: int = Field(default=30, ge=1)
    most_events: int = Field(default=20, ge=0, le=200)
    most_channels: int = Field(default=8, ge=0, le=100)
    most_numbers: int = Field(default=10, ge=0, le=100)
    most_categories: int = Field(default=6, ge=0, le=100)
    deadlines: tuple[str, ...] | None = None
    rare_share: float = Field(default=0.001, ge=0, lt=1)

    @model_validator(mode="after")
    def _known_set(self) -> Self:
        known = ("default", "full", "lean", *sorted(self.sets))
        if self.set not in known:
            raise ValueError(f"set '{self.set}' is none of {', '.join(known)}; add it to sets")
        return self


class Settings(Section):
    project: Project = Project()
    source: tuple[Source, ...] = Field(min_length=1)
    users: Users | None = None
    events: Events = Events()
    activity: Activity = Activity()
    eligible: Eligible = Eligible()
    churn: Churn = Churn()
    value: Value = Value()
    features: Features = Features()
    training: Training = Training()
    retention: Retention = Retention()
    funnel: tuple[Funnel, ...] = ()
    paths: Paths = Paths()
    lifecycle: Lifecycle = Lifecycle()
    early: Early = Early()
    quality: Quality = Quality()
    report: Report = Report()
    _folder: Path = PrivateAttr(default=Path())

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [source.name for source in self.source]
        if len(set(names)) < len(names):
            raise ValueError(f"two sources share a name; found {', '.join(names)}")
        column = self.churn.date_column
        if column and (self.users is None or column not in self.users.dates):
            raise ValueError(f"churn.date_column '{column}' must be listed in users.dates")
        return self

    def resolve(self, path: str) -> Path:
        """A path of holdfast.toml, relative to the folder that holds it."""
        return Path(self._folder, path)

    @property
    def store(self) -> Path:
        return self.resolve(self.project.store)

    @property
    def exports(self) -> Path:
        return self.resolve(self.project.exports)

    @property
    def tracking(self) -> Path:
        return self.resolve(self.project.tracking)

    @property
    def value_horizon_days(self) -> int:
        return self.value.horizon_days or self.churn.horizon_days


def load_settings(path: Path) -> Settings:
    """Raises SettingsError naming the key, the value found and the remedy."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise SettingsError(
            f"{path}: no such file; write one with 'holdfast init FILE' or name it with -c"
        ) from None
    except IsADirectoryError:
        raise SettingsError(f"{path}: is a folder; name the holdfast.toml in it") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: is not UTF-8 text ({error.reason})") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: is not TOML: {error}") from None
    return parse_settings(raw, path.parent, str(path))


def parse_settings(raw: dict[str, Any], folder: Path, called: str = "settings") -> Settings:
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        raise SettingsError(f"{called}: {in_words(error, Settings)}") from None
    settings._folder = folder
    return settings
