"""Which device the work runs on, decided once, with its reason."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runtime.errors import UsageError

Choice = Literal["auto", "cpu", "gpu"]
DRIVER = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")  # the last: WSL's


@dataclass(frozen=True)
class Device:
    """`kind` is "cpu" or "gpu"; `reason` says in words why."""

    kind: Literal["cpu", "gpu"]
    reason: str

    @property
    def torch_name(self) -> str:
        return "cuda" if self.kind == "gpu" else "cpu"


def decide(choice: Choice = "auto") -> Device:
    """Looks for a driver and for cuDF without importing either. Raises UsageError."""
    if choice == "cpu":
        return Device("cpu", "asked for")
    lacks = _what_a_gpu_run_lacks()
    if lacks is None:
        return Device("gpu", "asked for" if choice == "gpu" else "an NVIDIA device and cuDF found")
    if choice == "gpu":
        raise UsageError(f"device 'gpu': {lacks}; use --device cpu, or mend that")
    return Device("cpu", lacks)


def _what_a_gpu_run_lacks() -> str | None:
    if not any(Path(sign).exists() for sign in DRIVER):
        return "no NVIDIA driver on this machine"
    if importlib.util.find_spec("cudf_polars") is None:
        return "cuDF is not installed (pip install 'holdfast[gpu]')"
    return None
