"""Runs all benchmarks, one after another: `python -m benchmarks`."""

from benchmarks import startup, stops, throughput

for benchmark in (stops, startup, throughput):
    benchmark.main()
