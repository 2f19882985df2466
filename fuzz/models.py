"""Damaged model files: none may end the server's process, and each gets one line.

Starts from the built-in model and changes bytes of its header, which is where a file says how large
everything is, cuts it, and copies parts of it elsewhere. One file in five is split, or has a
damaged template or token ids out of range instead: see `fuzz.model_files`. Every file goes through
the checker; those that it lets pass are loaded by a worker and asked for a few tokens.
"""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from fuzz.model_files import ModelFiles
from tenuto.core.job import Job, Sampling
from tenuto.core.refusal import ModelError, Refusal
from tenuto.engine.local import gguf, model_file
from tenuto.engine.local.engine import LocalEngine
from tenuto.engine.local.gguf import ModelFileError, problem
from tenuto.engine.local.model_file import built_in_model
from tenuto.prompt.turns import human_turn, parse_prompt
from tenuto.settings import LocalSettings

_LOAD_S = 120.0
Runtime = Literal["auto", "openvino", "llamacpp"]
_RUNTIMES: tuple[Runtime, ...] = ("auto", "openvino", "llamacpp")
_JOB = Job(parse_prompt(human_turn("Hello")), 8, sampling=Sampling(seed=1))
_ONE_SPEAKS_IN = 5
# Numbers that bounds are often forgotten for.
_ODD = (0, 1, 0x7F, 0x80, 0xFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)


def mutate(whole: bytes, header: int, chance: random.Random) -> bytes:
    """One damaged copy. `header` is where the weights begin."""
    data = bytearray(whole)
    # The first kilobytes hold the hyperparameters and the places of everything else.
    reach = chance.choice((2048, header, header, len(data)))
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        at = chance.randrange(reach)
        match chance.randrange(5):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                size = chance.choice((1, 4, 8))
                odd = chance.choice(_ODD) & (2 ** (8 * size) - 1)
                data[at : at + size] = odd.to_bytes(size, "little")
            case 2:
                length = chance.randrange(1, 64)
                start = chance.randrange(reach)
                data[at : at + length] = whole[start : start + length]
            case 3:
                data[at : at + chance.randrange(1, 16)] = b""
            case _:
                data[at:at] = chance.randbytes(chance.randrange(1, 16))
    if chance.random() < 0.1:
        del data[chance.randrange(len(data)) :]
    return bytes(data)


def check(path: Path) -> str:
    """Return the first words of the checker's verdict, or "sound".

    Raises:
        AssertionError: It says more than a line.
    """
    try:
        model_file.read(path)
    except (ModelFileError, OSError) as error:
        reason = problem(path, error)
        if "\n" in reason or not reason:
            raise AssertionError(f"not one line: {reason!r}") from None
        return "refused"
    return "sound"


class _Lines(logging.Handler):
    """Collect log records of the engine that are not one line."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if "\n" in message or record.exc_info:
            self.wrong.append(message)


@contextmanager
def _log_of_lines() -> Iterator[None]:
    log, lines = logging.getLogger("tenuto.engine"), _Lines()
    log.addHandler(lines)
    try:
        yield
    finally:
        log.removeHandler(lines)
    if lines.wrong:
        raise AssertionError(f"the log is not of lines: {lines.wrong}")


async def load(path: Path, runtime: Runtime = "auto") -> str:
    """Return the fate of a file in a worker.

    Raises:
        AssertionError: It gets no answer in time, or not one line.
    """
    engine = None
    try:
        engine = LocalEngine(
            LocalSettings(model=path, max_running=2, load_wait_s=_LOAD_S, runtime=runtime)
        )
        await engine.start()
        async with asyncio.timeout(_LOAD_S):
            await engine.ready()
            async for _ in engine.generate(_JOB):
                pass
    except TimeoutError:
        raise AssertionError(f"no answer within {_LOAD_S} s") from None
    except Refusal as error:
        if "\n" in str(error) or not str(error):
            raise AssertionError(f"not one line: {error!r}") from None
        crashed = "crashes" in str(error)
        if isinstance(error, ModelError):
            return "the runtime died, and it was said" if crashed else "refused at load"
        return "failed on the request"
    finally:
        if engine is not None:
            await engine.aclose()
    return "completed"


def _in_turn(count: int) -> Iterator[Runtime]:
    for number in range(count):
        yield _RUNTIMES[number % len(_RUNTIMES)]


def fuzz(checked: int, loaded: int, seed: int) -> Counter[str]:
    """Run both, and return the number of each outcome.

    Args:
        checked: How many files go through the checker.
        loaded: How many of those that it lets pass are loaded.
        seed: Makes it repeatable.

    Raises:
        AssertionError: A file was not dealt with as it must be; it is kept, and named.
    """
    whole = built_in_model().read_bytes()
    header = min(tensor.start for tensor in gguf.read(built_in_model()).tensors)
    chance = random.Random(seed)
    ends: Counter[str] = Counter()
    folder = Path(tempfile.mkdtemp(prefix="tenuto-fuzz-"))
    files = ModelFiles(built_in_model(), folder)
    runtimes = _in_turn(loaded)
    for number in range(checked):
        if number % _ONE_SPEAKS_IN == 0:
            path = files.damaged(chance)
        else:
            path = folder / "damaged.gguf"
            path.write_bytes(mutate(whole, header, chance))
        try:
            outcome = check(path)
            ends[f"checker: {outcome}"] += 1
            if outcome == "sound" and (runtime := next(runtimes, None)):
                with _log_of_lines():
                    ends[f"load, {runtime}: {asyncio.run(load(path, runtime))}"] += 1
        except Exception as error:
            raise AssertionError(f"{path}, file {number} of seed {seed}: {error!r}") from error
    shutil.rmtree(folder)
    return ends


def main(checked: int, loaded: int, seed: int) -> None:
    """Run both, and print the number of each outcome; see `fuzz`."""
    for end, count in sorted(fuzz(checked, loaded, seed).items()):
        print(f"{count:6} {end}")
