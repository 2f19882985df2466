"""Each room imports only what it may. The table is the architecture.

All imports count: at the top, inside functions, and those for type checkers alone.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "tenuto"


@dataclass(frozen=True)
class May:
    """Allowed imports of the modules of a room, besides the standard library.

    Attributes:
        rooms: Rooms of ours, each with all that is in it. "" is the package itself, which names
            the client's parts and holds none.
        libraries: Libraries of others.
    """

    rooms: frozenset[str]
    libraries: frozenset[str]


def may(*rooms: str, libraries: str = "") -> May:
    return May(frozenset(rooms), frozenset(libraries.split()))


# The most specific row decides. A new engine falls under `engine`, until it needs a library.
TABLE: Mapping[str, May] = {
    "": may("client", "prompt.turns", "version"),
    "version": may(),
    "types": may("client"),
    "__main__": may("cli"),
    "quantities": may(libraries="annotated_types"),
    "settings": may(
        *("engine.local.runtimes", "engine.upstream.kind", "engine.upstream.kinds"),
        *("engine.upstream.fleet.settings", "engine.upstream.route", "operations.store.location"),
        *("quantities", "settings"),
        libraries="annotated_types",
    ),
    "settings.client": may("settings.variables"),
    "settings.user_folders": may("settings.variables"),
    "settings.tree": may(libraries="pydantic"),
    "interruption": may(),
    "lazy_timer": may(),
    "core": may(),
    "wire": may("prompt", "wire", libraries="pydantic"),
    "wire.long_json": may(libraries="pydantic_core"),
    "wire.json_object": may("core", libraries="pydantic_core"),
    "slices": may(),
    "prompt": may("prompt"),
    "engine": may("engine.base", "prompt"),
    "engine.base": may(),
    "engine.registry": may("engine", "settings"),
    "engine.upstream": may(
        *("engine.base", "engine.upstream", "interruption", "prompt", "slices"),
        *("engine.nodes.explanation",),
        *("wire.backoff", "wire.event_source", "wire.long_json"),
    ),
    "engine.nodes": may("engine.nodes"),
    "engine.upstream.fleet": may(
        *("engine.base", "engine.nodes", "engine.upstream", "prompt", "wire.token_header"),
    ),
    "engine.upstream.fleet.settings": may(
        "engine.upstream", "quantities", libraries="annotated_types"
    ),
    "engine.upstream.fleet.watch": may("engine.upstream", libraries="aiohttp"),
    "engine.upstream.connection": may(
        *("engine.upstream", "interruption", "wire.backoff", "wire.errors"), libraries="aiohttp"
    ),
    "engine.upstream.read_timeout": may("lazy_timer", libraries="aiohttp"),
    "engine.upstream.pool": may("engine.upstream", "version", libraries="aiohttp yarl"),
    "engine.upstream.kind": may("engine.upstream", "quantities"),
    "engine.upstream.kinds.tenuto": may(
        *("engine.upstream", "wire.token_header", "wire.usage_header"),
    ),
    "engine.upstream.errors": may("wire.errors"),
    "engine.upstream.error_responses": may("engine.upstream", "wire.errors"),
    "engine.upstream.route": may("quantities", libraries="annotated_types"),
    "engine.upstream.json_text": may(libraries="pydantic_core"),
    "engine.upstream.template": may(libraries="pydantic_core"),
    "engine.upstream.objects": may(
        *("engine.upstream", "wire.event_source"), libraries="pydantic_core"
    ),
    "engine.upstream.decoding": may(),
    "engine.upstream.proxies": may("engine.base"),
    "engine.upstream.room": may(),
    "engine.upstream.words": may("engine.upstream.json_text"),
    "engine.upstream.breaker": may("engine.base"),
    "engine.local": may("engine.base", "engine.local", "prompt"),
    "engine.local.sandbox": may(libraries="jinja2"),
    "engine.local.watchdog": may(),
    "engine.local.launch": may(),
    "engine.local.suspects": may("engine.base", "prompt.turns"),
    "engine.local.tuning": may("engine.local", "version"),
    "engine.local.engine": may("engine.base", "engine.local", "prompt", "settings", "slices"),
    "engine.local.submission": may("engine.local", "prompt", "wire.long_json"),
    # What runs in the worker's process.
    "engine.local.worker": may("engine.local"),
    "engine.local.admission": may("engine.local"),
    "engine.local.frames": may("engine.local"),
    "engine.local.frame_codec": may("engine.local"),
    "engine.local.intake": may("engine.local"),
    "engine.local.model_loading": may("engine.local"),
    "engine.local.parent_link": may("engine.local"),
    "engine.local.step_loop": may("engine.local"),
    "engine.local.gguf": may("engine.local"),
    "engine.local.tensor_types": may(),
    "engine.local.ir": may("engine.local"),
    "engine.local.model_file": may("engine.local"),
    "engine.local.vocabulary": may("engine.local"),
    "engine.local.text_stream": may("engine.local"),
    "engine.local.runtimes": may("engine.local"),
    "engine.local.runtimes.llamacpp": may("engine.local"),
    "engine.local.runtimes.openvino": may("engine.local", libraries="numpy"),
    "engine.local.runtimes.openvino.library": may(libraries="openvino openvino_genai"),
    "migrate": may("core", "migrate"),
    "migrate.messages": may("prompt"),
    "migrate.prompt_files": may("migrate", "prompt"),
    "migrate.files": may("migrate", libraries="pathspec"),
    "migrate.reports": may("migrate", "version"),
    "migrate.fix": may("migrate", "engine.upstream.capabilities"),
    "models": may("models"),
    "batch": may("batch", "prompt.turns"),
    "batch.sender": may("batch", "wire.backoff", libraries="httpx2"),
    "bench": may("bench"),
    "bench.load": may("bench", "wire", libraries="httpx2"),
    "bench.engine_load": may("bench", "engine.base", "prompt.turns"),
    "models.hub": may("models", libraries="httpx2 huggingface_hub"),
    "stream": may("engine.base", "stream"),
    "compare": may("compare"),
    "compare.comparison": may("compare", libraries="pydantic_core"),
    "compare.keys": may("cassette.scrubbing"),
    "compare.page": may("compare"),
    "compare.answering": may("compare", "engine.base", "stream"),
    "compare.reply": may("compare", "stream"),
    "cluster": may("cluster", "engine.nodes.report"),
    "cluster.ray_placement": may("cluster", "settings.user_folders", libraries="ray"),
    "cassette": may("cassette", "engine.base", "stream"),
    "service": may("engine.base", "engine.registry", "models", "settings", "stream", "wire"),
    "operations": may("operations"),
    "operations.metrics.exposition": may("operations.metrics", libraries="prometheus_client"),
    "operations.tracing": may("operations"),
    "operations.tracing.export": may("operations.tracing", libraries="opentelemetry"),
    "operations.tracing.spans": may("operations", libraries="opentelemetry"),
    "operations.tracing.tracer": may("operations", libraries="opentelemetry"),
    "operations.store": may("operations", libraries="sqlalchemy"),
    "operations.store.location": may(),
    "server": may(
        *("compare", "engine.base", "engine.nodes", "engine.registry", "engine.upstream.route"),
        *("interruption", "lazy_timer"),
        *(
            "operations",
            "prompt",
            "server",
            "settings",
            "service",
            "slices",
            "stream",
            "version",
            "wire",
        ),
        libraries="httptools starlette uvicorn",
    ),
    "server.workers.codec": may("server.workers", libraries="pydantic"),
    "server.workers.fields": may("core", libraries="pydantic"),
    "client": may(
        *("client", "prompt.turns", "settings.client", "version", "wire"),
        libraries="httpx2 pydantic",
    ),
    # The one door from the client to a server: in memory, for a client with an engine.
    "client.embedded": may(
        *("client", "engine.base", "server.app", "settings", "wire"),
        libraries="httpx2",
    ),
    "client.embedded.server": may(
        *("client", "engine.base", "engine.registry", "models", "service", "settings"),
        libraries="httpx2",
    ),
    "testing": may("testing", libraries="pytest"),
    "testing.tape": may(
        *("cassette", "client", "engine.base", "engine.upstream.kinds.tenuto", "settings"),
        libraries="httpx2",
    ),
    "cli": may(
        *(
            "version",
            "batch",
            "bench",
            "cassette",
            "cli",
            "compare",
            "client",
            "engine.base",
            "engine.registry",
            "engine.upstream.capabilities",
            "migrate",
            "models",
            "operations",
            "prompt",
            "server",
            "service",
            "settings",
        ),
        *("stream", "wire"),
        libraries="rich typer",
    ),
    "cli.cluster": may("cli", "cluster", "settings.user_folders", libraries="typer"),
    "cli.explain_route": may(
        "cli", "client", "prompt.turns", "settings", "wire", libraries="httpx2 typer"
    ),
    "cli.batch_server": may(
        *("batch", "cli", "client", "engine.base", "server.app", "settings"), libraries="httpx2"
    ),
}

# The vocabulary, which every room may import.
SHARED = ("core",)

# Rooms that neither read nor write anything, and have no clock.
PURE = (
    *("core", "wire", "prompt", "stream.stops"),
    *("compare.answer", "compare.similarity", "compare.comparison"),
    *("operations.idempotency.key", "operations.idempotency.records"),
    *("operations.idempotency.registry", "operations.keys", "operations.limits"),
    *("migrate.python", "migrate.messages", "migrate.languages", "migrate.lexing"),
    *("batch.requests", "cluster.roster", "cluster.scaling"),
    *("bench.prompts", "bench.figures", "bench.plot", "bench.candidates"),
)
IMPURE = {"asyncio", "http", "io", "logging", "os", "pathlib", "shutil", "signal", "socket"} | {
    *("sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "urllib")
}
PURE_PARTS = {"urllib.parse"}


def module_name(path: Path) -> str:
    """`wire/sse.py` -> `wire.sse`; a package is named like its folder, ours itself ""."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def is_in(module: str, room: str) -> bool:
    return module == room or (room != "" and module.startswith(f"{room}."))


def row_of(module: str) -> str:
    return max((room for room in TABLE if is_in(module, room)), key=len)


def imports(module: str, source: str, *, package: bool = False) -> Iterator[str]:
    """The full name of everything that a module imports, wherever in it the import stands."""
    here = f"tenuto.{module}".rstrip(".").split(".")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            up = node.level - package
            base = ".".join(here[: len(here) - up]) if node.level else ""
            start = ".".join(filter(None, [base, node.module]))
            for alias in node.names:
                # A name from a package of ours may be a module of its own.
                inner = f"{start}.{alias.name}"
                yield inner if inner.removeprefix("tenuto.") in FILES else start


def ours(name: str) -> str | None:
    """`tenuto.wire.completions.sse` -> `wire.sse`; None for what is not of ours."""
    return name.removeprefix("tenuto").removeprefix(".") if is_in(name, "tenuto") else None


def breaches(module: str, source: str, *, package: bool = False) -> list[str]:
    """All imports that the table does not allow."""
    row = row_of(module)
    found = []
    for name in imports(module, source, package=package):
        target, library = ours(name), name.partition(".")[0]
        if target is not None:
            allowed = any(is_in(target, room) for room in (*TABLE[row].rooms, *SHARED))
        elif library in sys.stdlib_module_names:
            pure = any(is_in(module, room) for room in PURE) and name not in PURE_PARTS
            allowed = not (pure and library in IMPURE)
        else:
            allowed = library in TABLE[row].libraries
        if not allowed:
            found.append(f"tenuto.{module} imports {name}, which `{row}` may not")
    return found


@pytest.mark.parametrize("module", FILES)
def test_module_imports_only_the_allowed_packages(module: str) -> None:
    path = FILES[module]

    assert breaches(module, path.read_text("utf-8"), package=path.name == "__init__.py") == []


def test_every_package_has_one_row() -> None:
    assert {module.partition(".")[0] for module in FILES} <= TABLE.keys()
    assert {row_of(module) for module in FILES} == set(TABLE)


def test_imports_have_no_cycles() -> None:
    graph = TopologicalSorter[str]()
    for module, path in FILES.items():
        package = path.name == "__init__.py"
        targets = map(ours, imports(module, path.read_text("utf-8"), package=package))
        graph.add(module, *(target for target in targets if target is not None))

    graph.prepare()  # raises CycleError, which names the cycle


@pytest.mark.parametrize(
    ("module", "source", "name"),
    [
        ("wire.completions.sse", "import tenuto.server.app", "tenuto.server.app"),
        ("wire.completions.sse", "import json, os", "os"),
        (
            "wire.completions.sse",
            "from starlette.responses import JSONResponse",
            "starlette.responses",
        ),
        ("prompt.turns", "from tenuto.wire.completions import sse", "tenuto.wire.completions.sse"),
        (
            "prompt.turns",
            "from tenuto.wire.completions.sse import decode as read",
            "tenuto.wire.completions.sse",
        ),
        ("prompt.turns", "from pydantic import BaseModel", "pydantic"),
        ("prompt.turns", "from ..stream import pipe", "tenuto.stream.pipe"),
        ("prompt.turns", "from .. import server", "tenuto.server"),
        ("engine.base", "from tenuto.wire.errors import excerpt", "tenuto.wire.errors"),
        ("engine.echo", "from tenuto.engine.local import gguf", "tenuto.engine.local.gguf"),
        ("engine.new", "from tenuto.engine import echo", "tenuto.engine.echo"),
        ("engine.new", "import torch", "torch"),
        ("engine.local.worker", "from ...prompt.turns import HUMAN", "tenuto.prompt.turns"),
        ("engine.local.worker", "from tenuto.engine.base import Engine", "tenuto.engine.base"),
        ("engine.local.gguf", "import numpy as np", "numpy"),
        ("stream.pipe", "from tenuto.engine.registry import create", "tenuto.engine.registry"),
        ("stream.stops", "import time", "time"),
        (
            "settings",
            "from tenuto.wire.completions.versions import Version",
            "tenuto.wire.completions.versions",
        ),
        ("server.app", "from tenuto.engine.echo import EchoEngine", "tenuto.engine.echo"),
        ("server.app", "from tenuto.cli import main", "tenuto.cli.main"),
        ("client.base", "from tenuto.server.app import create_app", "tenuto.server.app"),
        ("client.embedded.server", "from tenuto.server import auth", "tenuto.server.auth"),
        ("cli.main", "from tenuto.engine.local.engine import x", "tenuto.engine.local.engine"),
        ("cli.main", "import uvicorn", "uvicorn"),
        ("", "from tenuto.wire.errors import excerpt", "tenuto.wire.errors"),
    ],
)
@pytest.mark.parametrize(
    "place",
    [
        "{}",
        "def late():\n    {}",
        "class Room:\n    async def late(self):\n        if self:\n            {}",
        "if TYPE_CHECKING:\n    {}",
        "try:\n    {}\nexcept ImportError:\n    pass",
    ],
    ids=["top", "function", "method", "type checking", "try"],
)
def test_breach_is_detected_anywhere_in_a_module(
    module: str, source: str, name: str, place: str
) -> None:
    (breach,) = breaches(module, place.format(source))

    assert breach.startswith(f"tenuto.{module} imports {name},")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("wire.completions.request", "from pydantic import BaseModel\nimport json"),
        ("wire.completions.request", "from .versions import Version"),
        ("prompt.turns", "from tenuto.core import refusal"),
        ("engine.new", "from tenuto.engine.base import Engine"),
        ("engine.registry", "def late():\n    from tenuto.engine.echo import EchoEngine"),
        ("engine.local.runtimes.openvino.library", "import openvino, openvino_genai as genai"),
        ("server.app", "from starlette.types import ASGIApp\nimport asyncio"),
        ("cli.main", "from tenuto.version import __version__"),
    ],
)
def test_allowed_import_is_accepted(module: str, source: str) -> None:
    assert breaches(module, source) == []


def test_relative_import_of_a_package_is_resolved_from_it() -> None:
    assert breaches("prompt", "from .turns import HUMAN", package=True) == []
    assert breaches("prompt", "from ..server import app", package=True) != []


def loaded_by(statement: str) -> set[str]:
    """The modules that are loaded after a statement, in a fresh interpreter."""
    program = f"{statement}\nimport sys\nprint(*sys.modules, sep='\\n')"
    command = [sys.executable, "-c", program]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_loads_no_server_no_engine_and_no_library() -> None:
    loaded = loaded_by("import tenuto")

    assert {name for name in loaded if is_in(name, "tenuto")} == {"tenuto", "tenuto.version"}
    assert not loaded & {"starlette", "uvicorn", "pydantic", "httpx2", "typer", "openvino"}


def test_loading_the_settings_imports_no_engine_library() -> None:
    loaded = loaded_by("from tenuto.settings import load\nload()")

    assert not loaded & {"aiohttp", "asyncio", "starlette", "uvicorn", "typer", "openvino"}
    # Defaults need no check.
    assert "pydantic" not in loaded


def test_importing_the_settings_loads_no_kind_of_upstream_and_no_parser() -> None:
    loaded = loaded_by("from tenuto.settings import load")

    of_engines = {name for name in loaded if is_in(name, "tenuto.engine")}
    assert of_engines == {
        "tenuto.engine",
        *("tenuto.engine.local", "tenuto.engine.local.runtimes"),
        *("tenuto.engine.upstream", "tenuto.engine.upstream.kind", "tenuto.engine.upstream.kinds"),
        *("tenuto.engine.upstream.fleet", "tenuto.engine.upstream.fleet.settings"),
        "tenuto.engine.upstream.route",
    }
    rooms = ("tenuto.core", "tenuto.prompt", "tenuto.wire")
    assert not [name for name in loaded if any(is_in(name, room) for room in rooms)]
    assert not loaded & {"pydantic", "pydantic_core"}


def test_remote_client_loads_no_server_and_no_engine() -> None:
    loaded = loaded_by("from tenuto import Client\nClient(api_key='any')")

    rooms = ("tenuto.server", "tenuto.engine", "tenuto.stream")
    assert not [name for name in loaded if any(is_in(name, room) for room in rooms)]
    assert not loaded & {"starlette", "uvicorn", "aiohttp", "typer", "openvino", "xllamacpp"}


def test_application_of_an_embedded_client_loads_no_http_server() -> None:
    # The extra `local` brings starlette alone.
    loaded = loaded_by("import tenuto.server.app")

    assert not loaded & {"uvicorn", "httptools", "uvloop", "aiohttp", "typer"}
    # Imported by the first scrape.
    assert "prometheus_client" not in loaded


def test_start_of_a_server_loads_no_metrics_library() -> None:
    loaded = loaded_by("import tenuto.server.serve, tenuto.cli.serve")

    assert "prometheus_client" not in loaded


def test_start_of_a_server_loads_no_tracing_library() -> None:
    loaded = loaded_by(
        "import tenuto.server.serve, tenuto.cli.serve\n"
        "from tenuto.server.tracing import tracing_of\n"
        "assert tracing_of({}) is None"
    )

    assert not [name for name in loaded if name.startswith("opentelemetry")]


def test_completion_on_the_command_line_loads_no_metrics() -> None:
    loaded = loaded_by("import tenuto.cli.complete, tenuto.cli.embedded_answer")

    assert not [name for name in loaded if is_in(name, "tenuto.operations.metrics")]


def test_function_of_rewritten_programs_loads_no_library() -> None:
    loaded = loaded_by("from tenuto.migrate import to_messages\nto_messages")

    assert not loaded & {"pathspec", "pydantic", "httpx2", "typer"}
    assert not [name for name in loaded if is_in(name, "tenuto.migrate.python")]


def test_server_and_client_load_nothing_of_the_migration() -> None:
    loaded = loaded_by("import tenuto.server.serve, tenuto.cli.serve, tenuto.client.client")

    assert not [name for name in loaded if is_in(name, "tenuto.migrate") or name == "pathspec"]


def test_worker_process_loads_only_the_embedded_engine() -> None:
    loaded = loaded_by("import tenuto.engine.local.worker")

    of_ours = {name for name in loaded if is_in(name, "tenuto")}
    others = {name for name in of_ours if not is_in(name, "tenuto.engine.local")}
    assert {name for name in others if not is_in(name, "tenuto.core")} == {
        "tenuto",
        "tenuto.engine",
        "tenuto.version",
    }
    assert not loaded & {"starlette", "uvicorn", "pydantic", "httpx2", "typer", "asyncio"}


def test_start_of_a_server_without_a_cassette_loads_none_of_its_parts() -> None:
    loaded = loaded_by("import tenuto.cli.serve")

    assert not [name for name in loaded if is_in(name, "tenuto.cassette")]
    # The process of the embedded engine starts before these are loaded.
    assert not loaded & {"asyncio", "concurrent.futures"}
