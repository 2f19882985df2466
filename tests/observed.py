"""Run a program in an empty home; record the look-ups, connections and writes of its processes.

Python's audit events work everywhere, and see what Python code does. Where strace is installed and
may be used, it sees libraries of other languages as well.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Loaded by every Python that starts, before anything else.
_OBSERVER = """\
import os, sys

_log = os.open(os.environ["OBSERVED_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = {"os.mkdir": 0, "os.rename": 1, "os.link": 1, "os.symlink": 1}

def _hook(event, args):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        _write("lookup", args[0])
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        if isinstance(args[1], tuple):
            _write("connection", f"{args[1][0]} {args[1][1]}")
    elif event == "open" and isinstance(args[0], (str, bytes)) and args[2] & _WRITES:
        _write("file", os.path.abspath(os.fsdecode(args[0])))
    elif event in _CHANGES:
        _write("file", os.path.abspath(os.fsdecode(args[_CHANGES[event]])))

def _write(kind, what):
    if isinstance(what, bytes):
        what = what.decode("utf-8", "replace")
    os.write(_log, f"{kind} {what}\\n".encode("utf-8", "replace"))

sys.addaudithook(_hook)
"""
_CALLS = (
    "connect,sendto,sendmsg,sendmmsg,open,creat,openat,mkdir,mkdirat,rename,renameat,renameat2,"
    "link,linkat,symlink,symlinkat"
)
_ADDRESS = re.compile(r'port=htons\((\d+)\).*?inet_(?:addr\(|pton\(AF_INET6, )"([^"]+)"')
_SENT = re.compile(r"\b(?:connect|sendto|sendmsg|sendmmsg)\(")
_PATHS = re.compile(r'"((?:[^"\\]|\\.)*)"')
# OpenVINO opens the model that it reads for writing too, so only a new file counts here.
_WRITING = re.compile(r"\bcreat\(|\b(?:mkdir|rename|link|symlink)\w*\(|O_CREAT")
_DNS_PORT = "53"


@dataclass
class Observed:
    """The effects of a program outside its processes.

    Attributes:
        output: What it printed.
        lookups: Names of hosts, "localhost" left out.
        connections: Addresses and ports, those of this machine left out, except for DNS.
        files: What it wrote outside the folders that it was given, or left behind in its home.
        traced: Whether strace has looked too.
    """

    output: str
    lookups: set[str] = field(default_factory=set)
    connections: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    traced: bool = False


class Observation:
    """A folder with an empty home in which programs run under observation.

    Args:
        folder: An empty folder.
        own: Folders that the program may write to, below its home.
    """

    def __init__(self, folder: Path, own: Iterable[str] = (".cache/tenuto",)) -> None:
        self.home, self.work = folder / "home", folder / "work"
        self._temporary, self._log = folder / "tmp", folder / "events"
        self._trace = folder / "trace"
        observer = folder / "observer"
        for each in (self.home, self.work, self._temporary, observer):
            each.mkdir()
        (observer / "sitecustomize.py").write_text(_OBSERVER)
        self._own = [self.home / each for each in own]
        path = filter(None, [str(observer), os.environ.get("PYTHONPATH")])
        # Nothing else from outside: `CI` alone would change what libraries do.
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TMPDIR": str(self._temporary),
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OBSERVED_LOG": str(self._log),
        }
        self.traced = _may_trace()

    def start(
        self, *command: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a Python with these arguments."""
        # Detached, so that the process started is the program itself, and gets its signals.
        tracer = [
            "strace",
            "-D",
            "-f",
            "--seccomp-bpf",
            "-qq",
            "-s",
            "512",
            "-e",
            f"trace={_CALLS}",
        ]
        tracer += ["-o", str(self._trace)]
        return subprocess.Popen(
            [*(tracer if self.traced else ()), sys.executable, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.work,
            env=self._environment | dict(environment or {}),
        )

    def run(self, *command: str, environment: Mapping[str, str] | None = None) -> Observed:
        """Run a Python with these arguments to its end."""
        with self.start(*command, environment=environment) as process:
            assert process.stdout is not None
            output = process.stdout.read()
        return self.observed(output)

    def observed(self, output: str) -> Observed:
        """The effects so far."""
        seen = Observed(output, traced=self.traced)
        for line in self._log.read_text().splitlines():
            kind, _, what = line.partition(" ")
            if kind == "lookup":
                self._lookup(seen, what)
            elif kind == "connection":
                self._connection(seen, *what.split(" ", 1))
            else:
                self._file(seen, what)
        if self.traced:
            for line in self._trace.read_text(errors="replace").splitlines():
                self._call(seen, line)
        for folder in (self.home, self.work):
            for path in folder.rglob("*"):
                if not any(
                    path in own.parents or own in (path, *path.parents) for own in self._own
                ):
                    seen.files.add(str(path))
        return seen

    def _call(self, seen: Observed, line: str) -> None:
        if _SENT.search(line):
            if address := _ADDRESS.search(line):
                self._connection(seen, address[2], address[1])
        elif _WRITING.search(line) and "= -1 " not in line:
            # Of two paths, the second is the one that is made.
            path = _PATHS.findall(line)[-1]
            if path.startswith("/"):
                self._file(seen, path)

    def _lookup(self, seen: Observed, host: str) -> None:
        if host not in ("localhost", "127.0.0.1", "::1", "None"):
            seen.lookups.add(host)

    def _connection(self, seen: Observed, host: str, port: str) -> None:
        here = host.startswith("127.") or host in ("::1", "localhost")
        # Port 0 sends nothing: the C library asks that way which of its own addresses it would use.
        if port != "0" and (not here or port == _DNS_PORT):
            seen.connections.add(f"{host}:{port}")

    def _file(self, seen: Observed, path: str) -> None:
        own = (self._temporary, self.work, self.home, self._log)
        system = ("/dev/", "/proc/", "/sys/")
        if not path.startswith((*system, *map(str, own))):
            seen.files.add(path)


def _may_trace() -> bool:
    """Whether strace is there, and allowed here: some containers forbid it."""
    if shutil.which("strace") is None:
        return False
    probe = [
        "strace",
        "-D",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-e",
        f"trace={_CALLS}",
        "-o",
        os.devnull,
        "true",
    ]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0
