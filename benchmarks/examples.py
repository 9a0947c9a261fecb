"""Every example from raw files to the CRM file, and its figures beside the recency baseline's.

    python -m benchmarks.examples [--models] [NAME …]

Prints a Markdown table; with `--models` one for each example instead, a row a model with 95 %
intervals over users, the chosen one marked, beside the floors and the seconds it took. Each
project is built anew in a temporary folder, so that nothing that lies in the checkout matters.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
COLUMNS = (
    ("users", "scored users"),
    ("churn_base_rate", "base rate"),
    ("churn_roc_auc", "AUC"),
    ("recency_churn_roc_auc", "recency alone"),
    ("churn_average_precision", "AP"),
    ("churn_brier", "Brier"),
    ("base_rate_churn_brier", "base rate's"),
    ("churn_ece", "ECE"),
    ("value_normalized_gini", "value Gini"),
    ("recency_value_normalized_gini", "recency alone"),
    ("value_bias", "value bias"),
    ("seconds", "seconds"),
)


def holdfast(config: Path, *arguments: str) -> dict[str, Any]:
    """One command with --json. Raises RuntimeError with what it said."""
    code = "import sys; from holdfast.cli import run; sys.exit(run(sys.argv[1:]))"
    call = [sys.executable, "-c", code, *arguments, "-c", str(config), "--json"]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"holdfast {' '.join(arguments)}: {done.stderr.strip()[-500:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def configured(name: str, folder: Path) -> Path:
    """The example's configuration, its results going to `folder` and its sources where they are."""
    text = (ROOT / "examples" / f"{name}.toml").read_text()
    text = text.replace('"../../shared', f'"{ROOT.parent}/shared')
    for key in ("store", "exports"):
        text = text.replace(f'"../{key}/{name}"', f'"{folder}/{key}"')
    config = folder / f"{name}.toml"
    config.write_text(text.replace('"../mlruns"', f'"{folder}/mlruns"'))
    return config


def main_job(name: str) -> dict[str, Any]:
    """ingest, train, score and export, one after the other; the figures of the holdout."""
    with tempfile.TemporaryDirectory() as temporary:
        config = configured(name, Path(temporary))
        started = time.monotonic()
        ingested = holdfast(config, "ingest")
        trained = holdfast(config, "train")
        scored = holdfast(config, "score")
        exported = holdfast(config, "export", "--format", "csv")
        seconds = time.monotonic() - started
    assert exported["rows"] == scored["rows"]
    found: dict[str, Any] = trained["metrics"]
    return found | {"rows": ingested["rows_added"], "users": scored["rows"], "seconds": seconds}


MODEL_COLUMNS = (
    ("churn_roc_auc", "AUC"),
    ("churn_log_loss", "log loss"),
    ("churn_ece", "ECE"),
    ("churn_ece_by_chance", "ECE by chance"),
    ("value_normalized_gini", "value Gini"),
    ("value_nmae", "nMAE"),
    ("value_bias", "value bias"),
    ("seconds", "seconds"),
)
APART = ("forest",)  # not among those that "auto" tries


def all_models(name: str) -> list[dict[str, Any]]:
    """A row for each model and floor; figures of the test slice by name, with `_low`, `_high`."""
    with tempfile.TemporaryDirectory() as temporary:
        config = configured(name, Path(temporary))
        holdfast(config, "ingest")
        trained = holdfast(config, "train")
        rows: list[dict[str, Any]] = trained["candidates"]
        for kind in APART:
            found = holdfast(config, "train", "--model", kind)
            rows.append({"model": kind, "seconds": found["seconds"], **found["metrics"]})
    chosen = {"model": "auto, as chosen", "seconds": trained["seconds"], **trained["metrics"]}
    floors = [
        _floor("recency alone", "recency_", trained["metrics"]),
        _floor("base rate, mean", "base_rate_", trained["metrics"])
        | _floor("base rate, mean", "base_mean_", trained["metrics"]),
    ]
    return [*rows, chosen, *floors]


def _floor(model: str, prefix: str, metrics: dict[str, Any]) -> dict[str, Any]:
    mine = {n.removeprefix(prefix): v for n, v in metrics.items() if n.startswith(prefix)}
    return {"model": model, **mine}


def models_table(name: str) -> None:
    print(f"\n### {name}\n\n| model |", " | ".join(title for _, title in MODEL_COLUMNS), "|")
    print("|---|" + "---:|" * len(MODEL_COLUMNS))
    for row in all_models(name):
        chosen = ", ".join(row.get("chosen_for", []))
        model = f"**{row['model']}** (for {chosen})" if chosen else row["model"]
        cells = [_between(row, key) for key, _ in MODEL_COLUMNS]
        print(f"| {model} |", " | ".join(cells), "|", flush=True)


def _between(row: dict[str, Any], key: str) -> str:
    if row.get(key) is None:
        return "-"
    if key == "seconds":
        return f"{row[key]:.0f}"
    low, high = row.get(f"{key}_low"), row.get(f"{key}_high")
    interval = "" if low is None or high is None else f" ({low:.3f} to {high:.3f})"
    return f"{row[key]:.3f}{interval}"


def main(arguments: list[str]) -> None:
    names = [one for one in arguments if not one.startswith("--")]
    names = names or sorted(path.stem for path in (ROOT / "examples").glob("*.toml"))
    if "--models" in arguments:
        for name in names:
            models_table(name)
        return
    print("| example | events |", " | ".join(title for _, title in COLUMNS), "|")
    print("|---|" + "---:|" * (len(COLUMNS) + 1))
    for name in names:
        figures = main_job(name)
        cells = [_shown(figures.get(key)) for key, _ in COLUMNS]
        print(f"| {name} | {figures['rows']:,} |", " | ".join(cells), "|", flush=True)


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


if __name__ == "__main__":
    main(sys.argv[1:])
