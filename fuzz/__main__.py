"""Runs both fuzzers: `python -m fuzz --requests 100000 --raw 10000`."""

from __future__ import annotations

import argparse

from fuzz import raw, requests


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Fuzz the server.")
    parser.add_argument("--requests", type=int, default=100_000, help="requests to the application")
    parser.add_argument("--raw", type=int, default=10_000, help="malformed requests to the socket")
    options = parser.parse_args()
    requests.main(options.requests)
    raw.main(options.raw)


if __name__ == "__main__":
    main()
