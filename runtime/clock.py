"""One clock: instants are timezone-aware UTC datetimes; calendar days belong to a zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from runtime.errors import UsageError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)


def parse_instant(text: str, zone: str = "UTC") -> datetime:
    """A date (its first instant in `zone`) or an ISO 8601 instant, in UTC.

    An instant without an offset is read in `zone`. Raises UsageError.
    """
    try:
        if len(text.strip()) <= len("2024-01-31"):
            return local_midnight(date.fromisoformat(text.strip()), zone)
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"'{text}' is neither a date nor an instant; write 2024-01-31 or 2024-01-31T12:00:00Z"
        ) from None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=ZoneInfo(zone))
    return instant.astimezone(UTC)


def local_midnight(day: date, zone: str) -> datetime:
    """The first instant of a calendar day in `zone`, in UTC."""
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


def end_of_local_day(instant: datetime, zone: str) -> datetime:
    """The first instant of the day after the one `instant` falls in, in UTC."""
    local = instant.astimezone(ZoneInfo(zone))
    return local_midnight(local.date() + DAY, zone)


def show(instant: datetime) -> str:
    """ISO 8601 in UTC, a bare date where the instant is a UTC midnight."""
    instant = instant.astimezone(UTC)
    if instant.time() == time():
        return instant.date().isoformat()
    return instant.isoformat().replace("+00:00", "Z")
