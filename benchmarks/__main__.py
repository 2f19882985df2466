"""Run all benchmarks without options, one after another: `python -m benchmarks`."""

from benchmarks import client, program, startup, stops, tenants, throughput


def main() -> None:
    """Run them."""
    for benchmark in (stops, startup, throughput, client, tenants):
        benchmark.main()


if __name__ == "__main__":
    program.run("benchmarks", __doc__, main)
