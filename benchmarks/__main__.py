"""Runs all benchmarks, one after another: `python -m benchmarks`."""

import argparse

from benchmarks import client, startup, stops, tenants, throughput

argparse.ArgumentParser("python -m benchmarks", description=__doc__).parse_args()
for benchmark in (stops, startup, throughput, client, tenants):
    benchmark.main()
