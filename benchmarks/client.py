"""Our Python client against the official one, 0.125.0: import, plain calls, streamed events.

python -m benchmarks.client

Both ask the same scripted server, in turns, and each in processes of its own. Figures are CPU time
of the client's process, the whole of it and not only our code: what a caller pays.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from benchmarks import program

ROUNDS = 5
CALLS = 400
STREAMS = 4
EVENTS = 1000

PROMPT = "\n\nHuman: Hello\n\nAssistant:"
FIELDS = {"id": "compl_018CKm6gsux7P8yMcwZbeCPw", "model": "tenuto-mini", "type": "completion"}
LAST = FIELDS | {"completion": "", "stop_reason": "stop_sequence", "stop": "\n\nHuman:"}


def _event(body: Mapping[str, object]) -> bytes:
    return f"event: completion\ndata: {json.dumps(body)}\n\n".encode()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests on one connection, in the manner that the prompt names."""
    plain = json.dumps(LAST | {"completion": " Hello!"}).encode()
    piece = _event(FIELDS | {"completion": " word", "stop_reason": None, "stop": None})
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.close()
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        body = json.loads(await reader.readexactly(length))
        if not body.get("stream"):
            start = (
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            )
            writer.write(start % len(plain) + plain)
            continue
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        for _ in range(EVENTS):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if "apart" in body["prompt"]:
                await writer.drain()
                await asyncio.sleep(0.0005)
        last = _event(LAST)
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last))
        await writer.drain()


async def _serve(port: object) -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    port.put(server.sockets[0].getsockname()[1])  # type: ignore[attr-defined]
    await server.serve_forever()


def _run_server(port: object) -> None:
    asyncio.run(_serve(port))


@contextmanager
def _server() -> Iterator[str]:
    context = multiprocessing.get_context("spawn")
    port = context.Queue()
    process = context.Process(target=_run_server, args=(port,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{port.get(timeout=60)}"
    finally:
        process.kill()


# Runs in a process of its own, with the package's name, the server and the figure wanted.
MEASURE = """
import resource, sys, time
started, cpu = time.perf_counter(), time.process_time()
package, url, what, calls, streams, prompt = sys.argv[1:]
if package == "tenuto":
    from tenuto import Anthropic
else:
    from anthropic import Anthropic
client = Anthropic(api_key="sk-none", base_url=url)
completions = client.completions
if what == "import":
    print(time.perf_counter() - started)
elif what == "import CPU":
    print(time.process_time() - cpu)
elif what == "memory":
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
elif what == "plain":
    def call():
        text = completions.create(model="m", prompt=prompt, max_tokens_to_sample=9).completion
        assert text == " Hello!"
    for _ in range(20):
        call()
    cpu = time.process_time()
    for _ in range(int(calls)):
        call()
    print((time.process_time() - cpu) / int(calls))
else:
    def stream():
        pieces = completions.create(
            model="m", prompt=prompt + what, max_tokens_to_sample=9, stream=True
        )
        return sum(1 for piece in pieces if piece.completion)
    stream()
    cpu = time.process_time()
    events = sum(stream() for _ in range(int(streams)))
    print((time.process_time() - cpu) / events)
"""


def _measure(package: str, url: str, what: str) -> float:
    arguments = [package, url, what, str(CALLS), str(STREAMS), PROMPT]
    command = [sys.executable, "-W", "ignore", "-c", MEASURE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    """Print the medians of a few rounds, and their ratio."""
    figures = [
        ("import and first client, seconds", "import", 1.0),
        ("the same, CPU seconds", "import CPU", 1.0),
        ("memory after it, MiB", "memory", 1.0),
        ("plain call, CPU ms", "plain", 1e3),
        ("streamed event in bursts, CPU µs", "burst", 1e6),
        ("streamed event, each alone, CPU µs", "apart", 1e6),
    ]
    print(f"Python client, median of {ROUNDS} rounds{'tenuto':>14} {'anthropic':>10} {'ratio':>6}")
    with _server() as url:
        for name, what, scale in figures:
            rounds = [
                [_measure(package, url, what) for package in ("tenuto", "anthropic")]
                for _ in range(ROUNDS)
            ]
            ours, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
            print(f"  {name:38} {ours * scale:10.2f} {theirs * scale:10.2f} {ours / theirs:6.2f}")


if __name__ == "__main__":
    program.run("benchmarks.client", __doc__, main)
