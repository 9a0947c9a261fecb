"""Prints whether our arguments fit dask_cuda.LocalCUDACluster, which the [gpu] extra has."""

from __future__ import annotations

import inspect
import json

from dask_cuda import LocalCUDACluster
from distributed import LocalCluster, Nanny, Scheduler, Worker

from runtime.cluster import gpu_options


def _accepted() -> set[str]:
    """LocalCUDACluster hands what it does not know to LocalCluster, and that to the workers."""
    makers = (LocalCUDACluster, LocalCluster, Nanny, Worker)
    named = {name for maker in makers for name in inspect.signature(maker.__init__).parameters}
    return named - {"self", "kwargs", "args", "worker_kwargs"}


def main() -> None:
    passed = gpu_options("folder")
    accepted = _accepted()
    bound = inspect.signature(LocalCUDACluster).bind(**passed)
    own = set(bound.arguments) - {"kwargs"}
    assert {"enable_cudf_spill", "rmm_async", "rmm_managed_memory"} <= own
    scheduler = set(inspect.signature(Scheduler.__init__).parameters)
    unknown = sorted(set(passed) - accepted)
    unknown += sorted(set(passed["scheduler_kwargs"]) - scheduler)
    noticed = "rmm_asink" not in accepted and "allowed_failings" not in scheduler
    print(json.dumps({"passed": passed, "unknown": unknown, "noticed": noticed}))


if __name__ == "__main__":
    main()
