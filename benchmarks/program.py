"""A benchmark as a program: it takes no options, and says with --help what it measures."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable


def run(name: str, about: str | None, main: Callable[[], None]) -> None:
    """Measure, unless the arguments ask for help or are wrong.

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
