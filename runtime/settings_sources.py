"""The sections of holdfast.toml that name files: sources, what is looked up for them, users."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from runtime.settings_base import Encoding, Section, TimeFormat, Zone


class SourceColumns(Section):
    """Which column of the source is what. `clock`: the time of day, where `ts` has the date alone.
    `quantity`: of how many pieces a row is, each of them of the `amount`; it stays a property.
    `received`: when the event became known, at its own time
    where left out or empty. `properties`: extra columns kept, default all."""

    user_id: str
    ts: str
    clock: str | None = None
    event: str | None = None
    amount: str | None = None
    quantity: str | None = None
    channel: str | None = None
    event_id: str | None = None
    received: str | None = None
    properties: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _of_amounts(self) -> SourceColumns:
        if self.quantity is not None and self.amount is None:
            raise ValueError("quantity is given without amount; name the column of the price")
        return self


class SourceConstants(Section):
    event: str | None = None
    channel: str | None = None
    amount: float | None = None


class FileFormat(Section):
    """How files are laid out; what is left out is found from the file's name and first lines.

    `delimiter`: a character or several, or "whitespace" for runs of blanks.
    `encoding`: of text, as "windows-1252"; where left out UTF-16 by its mark, else UTF-8.
    `unnest`: columns of JSON objects (or Parquet structs) whose fields become columns of their
    own, `properties.price` of `properties`; an object inside one is named so after it.
    `time_format`: "auto", "epoch_s", "epoch_ms", "epoch_us", a strftime pattern, or for numbers
    "days since 2016-01-01" (weeks, hours, minutes, seconds, milliseconds likewise; fractions
    count).
    `decimal`: what parts whole from fraction in an amount; the other one may group thousands,
    and a currency may stand on either side ("300,00 €", "-£6.00", "EUR 12.50").
    """

    path: str | tuple[str, ...]
    format: Literal["csv", "parquet", "ndjson"] | None = None
    delimiter: str | None = None
    header: bool = True
    names: tuple[str, ...] | None = None
    encoding: Encoding | None = None
    unnest: tuple[str, ...] = ()
    null_values: tuple[str, ...] = ("",)
    time_format: TimeFormat = "auto"
    timezone: Zone = "UTC"
    decimal: Literal[".", ","] = "."


class Lookup(FileFormat):
    """A table without users that says more of each row: of its article, its course, its order.

    `on`: the columns by which a row finds the table's, in both called the same, or as
    { ours = "theirs" }; an earlier lookup's column can be one of ours. A table has one row for
    each of them, and all its `columns` (default: all others) come to the row as `NAME.column`.
    `next`: the table has several, each with a day in this column that was fixed in advance (a
    deadline, an episode, a sale); the row gets the first whose day is not before its own, the day
    as `NAME.next_day`.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    on: str | tuple[str, ...] | dict[str, str]
    columns: tuple[str, ...] | None = None
    next: str | None = None

    @property
    def keys(self) -> dict[str, str]:
        """The columns of the source, and which of the table are the same."""
        if isinstance(self.on, dict):
            return self.on
        named = (self.on,) if isinstance(self.on, str) else self.on
        return {name: name for name in named}

    @model_validator(mode="after")
    def _told(self) -> Self:
        if not self.keys:
            raise ValueError("'on' names no column; write those that both files have")
        return self


class Source(FileFormat):
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    columns: SourceColumns
    constants: SourceConstants = SourceConstants()
    received_format: TimeFormat = "auto"  # as time_format, of the column `received`
    lookup: tuple[Lookup, ...] = ()

    @model_validator(mode="after")
    def _tables_told_apart(self) -> Self:
        names = [one.name for one in self.lookup]
        if len(set(names)) < len(names):
            raise ValueError(f"two lookups share a name; found {', '.join(names)}")
        return self


class UserColumns(Section):
    user_id: str


class Users(FileFormat):
    """`attributes`: columns known when the user joined and unchanged since, or since their row's
    `valid_from`; they become features.

    `dates`: columns with an instant of something that happened to the user (a cancellation);
    they can define churn and are never features.
    `valid_from`: the column with the instant from which a row holds, until the user's next one;
    the file may then have several rows a user. Empty: from always.
    """

    columns: UserColumns
    attributes: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    valid_from: str | None = None

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        # A table's columns differ in more than case.
        named = [name.lower() for name in (*self.attributes, *self.dates)]
        if len(set(named)) < len(named):
            raise ValueError("two of 'attributes' and 'dates' are the same but for case; drop one")
        # The stored table calls the column so, whatever the file does.
        if taken := {"valid_from", (self.valid_from or "valid_from").lower()} & set(named):
            raise ValueError(
                f"'{min(taken)}' says since when a row holds and is no attribute or date; name it "
                "as users.valid_from alone"
            )
        return self
