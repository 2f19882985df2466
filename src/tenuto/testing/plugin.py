"""The pytest plugin: a fixture that replays the cassette of its test.

pytest loads this module wherever Tenuto is installed; all else is loaded by the fixture.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tenuto.testing.tape import Tape

_MODES = ("none", "once", "new_episodes", "all")
_REMEDY = "record it with pytest --tenuto-record once"
_LONGEST = 180


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--tenuto-record`."""
    parser.getgroup("tenuto").addoption(
        "--tenuto-record",
        choices=_MODES,
        default="none",
        help="Record cassettes: none (default) replays only, once records those that are missing, "
        "new_episodes adds requests that miss, all records all anew.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "tenuto_cassette(path=None, **options): the file and the options of the fixture "
        "`tenuto_cassette`, which are those of tenuto.testing.cassette",
    )


@pytest.fixture
def tenuto_cassette(request: pytest.FixtureRequest) -> Iterator[Tape]:
    """Replay the cassette of the test: `cassettes/MODULE/TEST.jsonl` beside its module.

    TEST is the name of the test, behind that of its class if it has one. The marker
    `tenuto_cassette` sets another path and the options of `tenuto.testing.cassette`.
    `--tenuto-record` records instead. A test whose requests had no recording fails.
    """
    from tenuto.testing.tape import cassette

    marker = request.node.get_closest_marker("tenuto_cassette")
    arguments, options = (marker.args, dict(marker.kwargs)) if marker else ((), {})
    folder = request.path.parent
    path = options.pop("path", None) or (arguments[0] if arguments else None)
    if path is None:
        chain = request.node.listchain()
        classes = [each.name for each in chain if isinstance(each, pytest.Class)]
        name = _file_name(".".join([*classes, request.node.name]))
        path = Path("cassettes", request.path.stem, f"{name}.jsonl")
    options.setdefault("mode", request.config.getoption("--tenuto-record"))
    if options["mode"] == "none" and not (folder / path).exists():
        pytest.fail(f"{folder / path} is not there; {_REMEDY}", pytrace=False)
    with cassette(folder / path, **options) as tape:
        yield tape


def _file_name(name: str) -> str:
    """Return the name of a test as that of a file. Parameters may hold any character."""
    plain = re.sub(r"[^\w.=-]+", "_", name)
    if len(plain) <= _LONGEST and re.fullmatch(r"[\w.]+(?:\[[\w.=-]*\])?", name):
        return plain
    # Two names may differ in what is left out alone.
    return f"{plain[:_LONGEST]}-{sha256(name.encode()).hexdigest()[:8]}"
