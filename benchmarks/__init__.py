"""Benchmarks: each prints what it measured with the floor beside it. `make bench` runs them all."""
