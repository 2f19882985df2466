"""Runs all benchmarks, one after another: `python -m benchmarks`."""

from benchmarks import client, startup, stops, throughput

for benchmark in (stops, startup, throughput, client):
    benchmark.main()
