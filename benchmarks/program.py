"""Run a benchmark as a program without options; --help prints its description."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable


def run(name: str, about: str | None, main: Callable[[], None]) -> None:
    """Measure, except with --help or invalid arguments.

    Args:
        name: The module's.
        about: What it measures.
        main: Measures and prints.
    """
    parser = ArgumentParser(
        f"python -m {name}",
        usage="%(prog)s [-h]",
        description=(about or "").replace("%", "%%"),
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    main()
