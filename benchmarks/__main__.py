"""Runs every benchmark of this folder, each in a process of its own: `make bench`."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

# gpu_check needs a device and is a command of its own.
APART = {"__main__", "gpu_check"}

for module in sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)])):
    if module not in APART:
        print(f"\n## {module}\n", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{module}"], check=True)
