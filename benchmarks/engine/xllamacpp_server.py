"""llama.cpp's server core, as a program: model, port, threads, slots, context of all slots.

All else is as the library has it by default.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import xllamacpp as untyped  # pyright: ignore[reportMissingImports]

xllamacpp: Any = untyped


def main() -> None:
    """Serve until killed."""
    model, port, threads, slots, context = sys.argv[1:]
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames, params.port = ["127.0.0.1"], int(port)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(threads)
    params.n_parallel, params.n_ctx, params.kv_unified = int(slots), int(context), False
    params.ui = False
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
