"""What several serving tests need: a scores table without a model, kills, and odd folders."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from runtime.settings import Settings, parse_settings
from runtime.tables import replace
from serving.table import SCORES, as_of_key, scores_path

ROOT = Path(__file__).parents[1]
AS_OF = datetime(2024, 3, 1, tzinfo=UTC)

# Ids that a reader, a writer or a spreadsheet is known to bend.
ODD_IDS = (
    "18446744073709551615",
    "9223372036854775808",
    "00123",
    "1e5",
    "0x1F",
    "1_000",
    "+49 30 1234",
    "-1",
    "=1+1",
    "@sum",
    " padded ",
    "comma,inside",
    'quote"inside',
    '"',
    "line\nbreak",
    "carriage\rreturn",
    "both\r\n",
    "tab\tinside",
    "semi;colon",
    "null",
    "NaN",
    "True",
    "2024-01-31",
    "ünï/çødé",
    "漢字",
    "👩‍👩‍👧",
    "e\u0301",
    "\u00e9",
    "\u202eright to left",
    "",
)


def settings_in(folder: Path, **project: str) -> Settings:
    source = {"name": "s", "path": "none.csv", "columns": {"user_id": "u", "ts": "t"}}
    return parse_settings({"project": {"name": "shop", **project}, "source": [source]}, folder)


def put_scores(
    settings: Settings,
    ids: Sequence[str],
    churn: Sequence[float],
    value: Sequence[float | None],
    as_of: datetime = AS_OF,
    buckets: int = 2,
) -> None:
    """A scores table as `score` leaves it, of made-up scores."""
    frame = pl.DataFrame(
        {"user_id": ids, "churn_probability": churn, "expected_value": value},
        schema_overrides={"expected_value": pl.Float64, "user_id": pl.String},
    ).with_columns(
        churn_low=pl.col("churn_probability") / 2,
        churn_high=(pl.col("churn_probability") + 1) / 2,
        median_value=pl.col("expected_value") / 2,
        value_low=pl.col("expected_value") / 4,
        value_high=pl.col("expected_value") * 3,
        as_of=pl.lit(as_of),
        reason_1=pl.lit("last active 41 days ago (typical: 3 days)"),
        reason_2=pl.lit('saw "sale", did not buy'),
        reason_3=pl.lit(None, dtype=pl.String),
        model_kind=pl.lit("xgboost"),
        model_version=pl.lit(1),
        model_run_id=pl.lit("run"),
        snapshot_digest=pl.lit("digest"),
        as_of_key=pl.lit(as_of_key(as_of)),
        bucket=pl.int_range(pl.len()) % buckets,
    )
    parts = frame.partition_by("bucket", maintain_order=True)
    replace(scores_path(settings), SCORES, parts, f"as_of_key = '{as_of_key(as_of)}'")


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file under a folder, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run_until(code: str, arguments: Sequence[str], seconds: float | None) -> float:
    """Runs Python code that prints a line when it begins; kills it `seconds` after that line.

    Returns how long it ran from there.
    """
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline(), "the child ended before it began"
        start = time.perf_counter()
        try:
            code_back = child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
        else:
            assert code_back == 0
        return time.perf_counter() - start


@contextmanager
def mounted(folder: Path, size: str = "") -> Iterator[Path]:
    """A small tmpfs on a folder, or with no size the folder itself, read-only."""
    folder.mkdir(exist_ok=True)
    if size:
        commands = [["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]]
    else:
        commands = [
            ["mount", "--bind", str(folder), str(folder)],
            ["mount", "-o", "remount,bind,ro", str(folder)],
        ]
    for command in commands:
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("this machine does not let the test mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
