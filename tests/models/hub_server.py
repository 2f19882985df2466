"""A small hub on this machine: the routes of the Hugging Face Hub that a download uses.

The API answers on 127.0.0.1, and redirects to a store under the name localhost, as the real hub
redirects to another host with signed addresses.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SIGNATURE = "signature-that-nobody-may-see"


@dataclass
class HubRepo:
    """A repository of the hub, and its faults.

    Attributes:
        files: Path -> content.
        token: Required to read it; None for a public repository.
        gated: Whether its files are always refused.
        in_git: Files outside Git LFS.
        announced: Path -> content of the announced checksum and size, if wrong.
    """

    files: dict[str, bytes]
    token: str | None = None
    gated: bool = False
    in_git: frozenset[str] = frozenset()
    announced: dict[str, bytes] = field(default_factory=dict)

    def sibling(self, path: str) -> dict[str, Any]:
        content = self.announced.get(path, self.files[path])
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": git}
        if path not in self.in_git:
            sha256 = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
        return entry


@dataclass
class Request:
    host: str
    path: str
    authorization: str | None
    range: str | None
    user_agent: str


@dataclass
class HubServer:
    """The hub.

    Attributes:
        repos: Name -> repository.
        break_after: Bytes of content in each response before the connection breaks; later
            responses are complete.
        stall_after: Bytes of content in each response before it stalls, until `released`; None:
            no stall.
        ignore_range: Whether every response begins at the first byte.
        statuses: Statuses that refuse the next requests for content.
        requests: All requests so far.
    """

    port: int
    repos: dict[str, HubRepo] = field(default_factory=dict)
    break_after: list[int] = field(default_factory=list)
    stall_after: int | None = None
    released: threading.Event = field(default_factory=threading.Event)
    ignore_range: bool = False
    statuses: list[int] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def of_content(self) -> list[Request]:
        return [request for request in self.requests if request.path.startswith("/store/")]


@contextmanager
def hub_server() -> Iterator[HubServer]:
    class Handler(_Handler):
        hub: HubServer

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Handler.hub = hub = HubServer(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield hub
        finally:
            hub.released.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        headers = self.headers
        host = (headers["host"] or "").partition(":")[0]
        self.hub.requests.append(
            Request(
                *(host, path, headers["authorization"], headers["range"]),
                headers["user-agent"] or "",
            )
        )
        match path.strip("/").split("/"):
            case ["api", "models", org, repo]:
                self._info(f"{org}/{repo}")
            case [org, repo, "resolve", revision, *steps] if revision == COMMIT:
                self._redirect(f"{org}/{repo}", "/".join(steps))
            case ["store", org, repo, *steps]:
                self._content(self.hub.repos[f"{org}/{repo}"].files["/".join(steps)])
            case _:
                self._refuse(404, "EntryNotFound")

    def _repo(self, name: str) -> HubRepo | None:
        repo = self.hub.repos.get(name)
        allowed = repo and repo.token in (None, (self.headers["authorization"] or "")[7:])
        if repo is None or not allowed:
            # The real one answers 401 for both, so as not to tell which repositories exist.
            self._refuse(401, "RepoNotFound")
            return None
        return repo

    def _info(self, name: str) -> None:
        if repo := self._repo(name):
            body = {"id": name, "sha": COMMIT, "siblings": [*map(repo.sibling, repo.files)]}
            self._answer(200, json.dumps(body).encode())

    def _redirect(self, name: str, path: str) -> None:
        if repo := self._repo(name):
            if repo.gated:
                self._refuse(403, "GatedRepo")
            elif path not in repo.files:
                self._refuse(404, "EntryNotFound")
            else:
                store = f"http://localhost:{self.hub.port}/store/{name}/{path}"
                self._answer(302, b"", location=f"{store}?sig={SIGNATURE}", x_repo_commit=COMMIT)

    def _content(self, content: bytes) -> None:
        if self.hub.statuses:
            self._refuse(self.hub.statuses.pop(0), "")
            return
        start = 0
        if self.headers["range"] and not self.hub.ignore_range:
            start = int(self.headers["range"].removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        self.send_header("content-length", str(len(content) - start))
        if start:
            self.send_header("content-range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.hub.break_after:
            self.wfile.write(content[start : start + self.hub.break_after.pop(0)])
            self.close_connection = True
        elif self.hub.stall_after is not None:
            self.wfile.write(content[start : start + self.hub.stall_after])
            self.hub.released.wait()
            self.close_connection = True
        else:
            self.wfile.write(content[start:])

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, b"{}", x_error_code=code)

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
