"""The one door to paths for a command: what is wanted, told apart by what is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from events.store import EventStore
from retention.path_churn import PathsBeforeChurn, paths_before_churn
from retention.path_churn_users import WayBeforeChurn, users_before_churn
from retention.path_question import Asked
from retention.path_users import Way, users_of
from retention.paths import Paths, paths
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.errors import UsageError
from runtime.settings import Settings


@dataclass(frozen=True)
class Wanted:
    """`path` or `transition` (at `step`): who goes it, listed in `file`. `before`: "churn", then
    all that follows, and `path` is one of those compared."""

    asked: Asked
    path: str | None = None
    transition: str | None = None
    step: int | None = None
    file: Path | None = None
    before: str | None = None
    cutoff: datetime | None = None
    days: int | None = None
    whole: bool = False
    least_users: int | None = None

    @property
    def names_a_way(self) -> bool:
        return self.path is not None or self.transition is not None


def answer(
    settings: Settings,
    store: EventStore,
    device: Device,
    wanted: Wanted,
    cluster: Cluster = IN_PROCESS,
) -> Paths | Way | PathsBeforeChurn | WayBeforeChurn:
    """Raises UsageError for options that do not go together."""
    _check(wanted)
    if wanted.before is not None and wanted.path is not None:
        return users_before_churn(
            settings,
            store,
            device,
            wanted.path,
            file=wanted.file,
            cutoff=wanted.cutoff,
            before_days=wanted.days,
            whole=wanted.whole,
            asked=wanted.asked,
            cluster=cluster,
        )
    if wanted.before is not None:
        return paths_before_churn(
            settings,
            store,
            device,
            cutoff=wanted.cutoff,
            before_days=wanted.days,
            least_users=wanted.least_users,
            whole=wanted.whole,
            asked=wanted.asked,
            cluster=cluster,
        )
    if wanted.names_a_way:
        return users_of(
            settings,
            store,
            device,
            wanted.asked,
            path=wanted.path,
            transition=wanted.transition,
            step=wanted.step,
            file=wanted.file,
            cluster=cluster,
        )
    return paths(settings, store, device, wanted.asked, cluster)


def _check(wanted: Wanted) -> None:
    if wanted.before not in (None, "churn"):
        raise UsageError(f"--before '{wanted.before}' is not known; write --before churn")
    compared: dict[str, object] = {
        "--cutoff": wanted.cutoff,
        "--days": wanted.days,
        "--whole": wanted.whole or None,
        "--least-users": wanted.least_users,
    }
    if wanted.before is not None:
        alone = {"--transition": wanted.transition, "--at": wanted.step}
        _refuse(alone, "does not go with --before churn; leave it out")
    else:
        _refuse(compared, "goes with --before churn; add that or leave it out")
    if not wanted.names_a_way:
        listing = {"--at": wanted.step, "--users": wanted.file}
        _refuse(listing, "needs the way whose users are meant; add --path or --transition")


def _refuse(options: Mapping[str, object], why: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise UsageError(f"{name} {'' if value is True else value} {why}")
