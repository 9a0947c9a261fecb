"""Runs every benchmark of this folder, each in a process of its own: `make bench`."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

# What needs a device, a large log (`make bench-features`), or is read by others, is run by itself.
APART = {"__main__", "gpu_check", "features", "ingest", "memory", "pages", "retention"}
APART |= {"buying", "gpu_tabular", "oracle_gap", "order_world", "over_time", "sequence_training"}
APART |= {"knowable", "tabular_models", "worth"}
PARTS = {"gpu_analysis", "gpu_buying", "gpu_sequences", "big_log", "feature_pandas", "feature_set"}
PARTS |= {"sequence_clock", "sequence_rival", "sequence_world"}
PARTS |= {"world_evidence", "world_filter", "world_tables"}
PARTS |= {"retention_cohorts", "retention_funnel", "retention_paths", "retention_lifecycle"}

for module in sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)])):
    if module not in APART | PARTS:
        print(f"\n## {module}\n", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{module}"], check=True)
