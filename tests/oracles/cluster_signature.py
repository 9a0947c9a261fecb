"""Prints whether our arguments fit dask_cuda.LocalCUDACluster, which the [gpu] extra has."""

from __future__ import annotations

import importlib.util
import inspect
import json

from runtime.cluster_options import gpu_options


def main() -> None:
    if importlib.util.find_spec("dask_cuda") is None:
        print(json.dumps({"missing": "dask_cuda"}))
        return
    from dask_cuda import LocalCUDACluster
    from distributed import LocalCluster, Nanny, Scheduler, Worker

    # LocalCUDACluster hands what it does not know to LocalCluster, and that to the workers.
    accepted = {
        name
        for maker in (LocalCUDACluster, LocalCluster, Nanny, Worker)
        for name, parameter in inspect.signature(maker.__init__).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
    scheduler = set(inspect.signature(Scheduler.__init__).parameters)
    passed = gpu_options("folder")
    own = set(inspect.signature(LocalCUDACluster).bind(**passed).arguments)
    found = {
        "passed": passed,
        "own": sorted(own - {"kwargs"}),
        "unknown": sorted(set(passed) - accepted)
        + sorted(set(passed["scheduler_kwargs"]) - scheduler),
        "noticed": "rmm_asink" not in accepted and "allowed_failings" not in scheduler,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
