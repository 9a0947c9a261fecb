"""What the clusters that we start ourselves are started with. Speaks no Dask."""

from __future__ import annotations

import logging
from typing import Any

from runtime import worker

ALLOWED_DEATHS = 2  # of workers over one and the same key; one more and it is given up
NATIVE_THREADS = (
    "POLARS_MAX_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)
# Polars' GPU engine would otherwise take a pool of managed memory for itself.
PLAIN_ALLOCATIONS = {"POLARS_GPU_ENABLE_CUDA_MANAGED_MEMORY": "0"}


def local_options(workers: int, folder: str) -> dict[str, Any]:
    """Arguments of distributed.LocalCluster.

    No memory limit: Dask would pause a worker whose memory Polars has not given back yet, and
    has none of our results in memory that it could spill.
    """
    return {
        "n_workers": workers,
        "threads_per_worker": 1,
        "processes": True,
        "memory_limit": None,
        "local_directory": folder,
        "preload": [worker.__name__],
        "silence_logs": logging.CRITICAL,
        "scheduler_kwargs": {
            "allowed_failures": ALLOWED_DEATHS,
            "dashboard": False,
            "dashboard_address": "127.0.0.1:0",  # any port: without one it warns of a taken 8787
        },
    }


def gpu_options(folder: str) -> dict[str, Any]:
    """Arguments of dask_cuda.LocalCUDACluster: a worker for each GPU, which is the only one it
    computes on; the driver's own asynchronous allocations. cuDF's spilling is of its own frames,
    and plans make none."""
    options = local_options(0, folder)
    del options["n_workers"], options["processes"]
    return {
        **options,
        "rmm_async": True,
        "rmm_managed_memory": False,
        "device_memory_limit": None,
    }
