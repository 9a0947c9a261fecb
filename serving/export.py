"""A scored as-of as a file a CRM takes, with a manifest that says what is in it.

The data file comes first, its manifest after it, each whole or absent: a file that lies there
without a manifest that fits its digest is not a finished export. Nothing in either depends on
the clock or the machine, so the same scores give the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from runtime.clock import show
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import OutputError
from runtime.files import check_file, digest_file, remove_drafts, write_atomic, write_json
from runtime.progress import progress, say
from runtime.settings import Settings
from serving.formats import COLUMNS, DECIMALS, EXPORT_VERSION, Format, find_format
from serving.ranking import Summary, ranked, summarise
from serving.table import Scores, open_scores

CPU = Device("cpu", "an export is one sort and one file")


@dataclass(frozen=True)
class ExportResult:
    files: tuple[Path, ...]
    manifest: Path
    rows: int


def export(
    settings: Settings,
    format: str = "csv",
    out: Path | None = None,
    as_of: datetime | None = None,
) -> ExportResult:
    """Writes the scores as of `as_of` (default: the newest) to `out` (default: the exports
    folder), ranked by what is expected to be lost, then reads them back and checks them.

    Memory: reading and writing stream; the sort behind the rank holds the list's rows once,
    some 200 bytes a user.
    Raises UsageError, StoreError, OutputError.
    """
    form = find_format(format)
    scores = open_scores(settings, as_of)
    folder = settings.exports if out is None else out
    file = folder / f"{settings.project.name}-{scores.key}{form.suffix}"
    check_file(file, "--out")
    with progress(f"export {format}", 3, "steps") as advance:
        summary = summarise(scores.scan())
        advance()
        _write(file, form, ranked(scores.scan(), summary, show(scores.as_of)))
        advance()
        contents = {"format": format, "project": settings.project.name}
        manifest = write_json(manifest_path(file), contents | _manifest(file, scores, summary))
        verify(manifest)
        _check_ids(file, form, summary)
        advance()
    _warn_of_formulas(file, summary)
    return ExportResult((file,), manifest, summary.rows)


def manifest_path(file: Path) -> Path:
    return file.with_name(f"{file.name}.manifest.json")


def _write(file: Path, form: Format, plan: pl.LazyFrame) -> None:
    remove_drafts(file)
    write_atomic(file, lambda draft: form.write(plan, draft))


def _manifest(file: Path, scores: Scores, summary: Summary) -> dict[str, Any]:
    return {
        "schema_version": EXPORT_VERSION,
        "file": file.name,
        "bytes": file.stat().st_size,
        "sha256": digest_file(file),
        "rows": summary.rows,
        "columns": list(COLUMNS),
        "decimals": DECIMALS,
        "as_of": show(scores.as_of),
        "model": {
            "kind": summary.model_kind,
            "version": summary.model_version,
            "run_id": summary.model_run_id,
        },
        "scores": {
            "table_version": scores.table.version,
            "snapshot_digest": summary.snapshot_digest,
        },
        "rank_by": summary.rank_by,
        "risk_bands": {"high_above": summary.high_above, "low_below": summary.low_below},
        "formula_like_user_ids": summary.formula_like,
    }


def verify(manifest: Path) -> None:
    """Reads an export again and holds it against its manifest. Raises OutputError."""
    try:
        said = json.loads(manifest.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OutputError(f"{manifest}: no such manifest; export again") from None
    file = manifest.with_name(said["file"])
    if not file.is_file():
        raise OutputError(f"{file}: is gone, its manifest is still there; export again")
    header, rows = find_format(said["format"]).read(file)
    found = {
        "sha256": digest_file(file),
        "columns": list(header),
        "rows": collect(rows.select(pl.len()), CPU).item(),
    }
    for name, value in found.items():
        if value != said[name]:
            raise OutputError(
                f"{file}: {name} is {value}, its manifest says {said[name]}; export again"
            )


def _check_ids(file: Path, form: Format, summary: Summary) -> None:
    """That the ids in the file are those of the scores, every one and unaltered."""
    _, rows = form.read(file)
    found = collect(rows.select(pl.col("user_id").hash().sum()), CPU).item()
    if found != summary.id_checksum:
        raise OutputError(f"{file}: the user ids read back differ from the scores; export again")


def _warn_of_formulas(file: Path, summary: Summary) -> None:
    if summary.formula_like:
        say(
            f"{file}: {summary.formula_like} user ids begin like a spreadsheet formula (= + - @); "
            "they are kept as they are: import the column as text, never open it by double-click"
        )
