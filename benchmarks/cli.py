"""CPU seconds of `holdfast --help`, beside a Python that imports nothing.

python -m benchmarks.cli
"""

from __future__ import annotations

import resource
import subprocess
import sys

RUNS = 5
CALLS = {
    "python -c pass": ["-c", "pass"],
    "holdfast --help": [
        "-c",
        "import sys; from holdfast.cli import run; sys.exit(run(['--help']))",
    ],
}


def cpu_seconds(arguments: list[str]) -> float:
    """User and system time of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    for name, arguments in CALLS.items():
        seconds = sorted(cpu_seconds(arguments) for _ in range(RUNS))
        print(f"{name}: median {seconds[RUNS // 2]:.2f} s, most {seconds[-1]:.2f} s of CPU")


if __name__ == "__main__":
    main()
