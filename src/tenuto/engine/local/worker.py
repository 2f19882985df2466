"""Entry point of the worker's process.

    python -m tenuto.engine.local.worker FD

FD is the worker's end of a socket pair.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys

from tenuto.engine.local import frames
from tenuto.engine.local.model_loading import load_model, why_not
from tenuto.engine.local.parent_link import ParentGone, ParentLink
from tenuto.engine.local.step_loop import StepLoop

_PR_SET_PDEATHSIG = 1


def main(descriptor: int) -> None:
    """Load the model that the first frame names, and serve until the parent is gone."""
    _follow_parent()
    link = ParentLink(socket.socket(fileno=descriptor))
    received = link.receive()
    while not received:
        received = link.receive()
    load = received[0]
    if not isinstance(load, frames.Load):
        raise TypeError(f"the first frame must be Load, not {type(load).__name__}")
    try:
        model, loaded = load_model(load, lambda *names: link.send(frames.RuntimeChosen(*names)))
    except Exception as error:
        link.send(frames.NotLoaded(why_not(load, error)))
        return
    link.send(loaded)
    StepLoop(link, load, model).run()


def _follow_parent() -> None:
    """End with the parent, however it ends, and leave signals of the terminal to it."""
    # Ctrl-C, a service manager's SIGTERM and a closed terminal's SIGHUP reach the whole process
    # group, and the parent decides about the running streams.
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    if sys.platform == "linux":
        # The closed socket is noticed between two steps; this also ends a step that hangs.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    with contextlib.suppress(ParentGone):
        main(int(sys.argv[1]))
    # No clean exit: with unfinished requests, destructors of a runtime print warnings or abort.
    sys.stderr.flush()
    os._exit(0)
