"""The embedded engine against llama.cpp, on one model file.

    python -m benchmarks.engine [--help]

Models with random weights in the shapes of known ones are written once, to the folder for
temporary files (0.2 to 0.7 GB each). `tenuto serve` and the peers load the same file and receive
requests through HTTP, in turns, with the same number of threads; the bare loops of the libraries
are measured between them. Each figure is the median of all rounds, and each ratio is that of two
medians.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.engine import aims, report
from benchmarks.engine.machine import Patience, description
from benchmarks.engine.measure import MOST_OTHERS, SCENARIOS, Plan, measure, reads
from benchmarks.engine.model import QUANTISATIONS, model_file
from benchmarks.engine.report import Table
from benchmarks.engine.scenarios import SHORT, STREAMS, Amounts
from benchmarks.engine.shapes import SHAPES
from benchmarks.engine.vocabulary import Vocabulary
from tenuto.engine.local.choose import AUTO
from tenuto.engine.local.cpu import cpu
from tenuto.engine.local.runtimes import NAMES

# They take minutes where no prefix is shared.
_LONG = ("prefix", "conversations")
_SHORT_BARE = (1, 8)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter

    def some(option: str, dest: str, choices: Any, about: str) -> None:
        parser.add_argument(option, action="append", choices=choices, dest=dest, help=about)

    some("--shape", "shapes", list(SHAPES), "of the model; may be repeated (default: qwen)")
    some("--quantisation", "quantisations", QUANTISATIONS, "may be repeated (default: all)")
    some("--runtime", "runtimes", [AUTO, *NAMES], "Tenuto's; may be repeated (default: auto)")
    some("--scenario", "scenarios", SCENARIOS, "may be repeated (default: all)")
    parser.add_argument(
        "--short",
        action="store_true",
        help="one round, requests of half the size, and, unless requested, neither prefix nor "
        "conversations: a model takes 3 minutes on 2 cores",
    )
    parser.add_argument("--rounds", type=int, help="(default: 3)")
    parser.add_argument("--cache-rounds", type=int, default=1, help="of these two (default: 1)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--context", type=int, help="Tenuto's setting (default: the model's)")
    parser.add_argument("--llama-server", metavar="PROGRAM", help="measure this one, too")
    parser.add_argument(
        "--llama-cpp-python", metavar="PYTHON", help="measure the llama_cpp that this has, too"
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="MINUTES",
        help="wait so long, in all, for moments in which nothing else runs (default: 0)",
    )
    parser.add_argument("--markdown", action="store_true", help="print tables in Markdown, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rounds into it")
    return parser.parse_args()


def main() -> None:
    """Measure each shape and quantisation, and print a table for each."""
    arguments = _arguments()
    plan = _plan(arguments)
    patience = Patience(60 * arguments.wait, MOST_OTHERS)
    tables: list[Table] = []
    print(description(arguments.threads), flush=True)
    try:
        for name in arguments.shapes or ["qwen"]:
            shape = SHAPES[name]
            for quantisation in arguments.quantisations or QUANTISATIONS:
                model = model_file(name, quantisation)
                column = aims.column(cpu().features, openvino=reads("openvino", model))
                table = Table(f"{shape.name}, {quantisation}", column)
                tables.append(table)
                try:
                    measure(table, plan, model, Vocabulary(shape.vocabulary), patience)
                finally:
                    # After Ctrl-C too: the figures up to then.
                    _print(table, arguments.markdown)
                    _save(tables, arguments.json)
    except KeyboardInterrupt:
        sys.exit(130)


def _plan(arguments: argparse.Namespace) -> Plan:
    short: bool = arguments.short
    usual = [name for name in SCENARIOS if not (short and name in _LONG)]
    return Plan(
        scenarios=arguments.scenarios or usual,
        amounts=SHORT if short else Amounts(),
        rounds=arguments.rounds or (1 if short else 3),
        cache_rounds=arguments.cache_rounds,
        runtimes=arguments.runtimes or [AUTO],
        bare_streams=_SHORT_BARE if short else STREAMS,
        threads=arguments.threads,
        context=arguments.context,
        tries=1 if short else 2,
        llama_server=arguments.llama_server,
        llama_cpp_python=arguments.llama_cpp_python,
    )


def _print(table: Table, markdown: bool) -> None:
    lines = [*report.text(table), *(report.markdown(table) if markdown else ())]
    print("\n".join(lines), flush=True)


def _save(tables: list[Table], file: Path | None) -> None:
    if file:
        found = {
            table.title: {"runtimes": table.runtimes, "figures": table.figures} for table in tables
        }
        file.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
