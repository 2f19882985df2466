"""A progress bar on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tenuto.cli.terminal import is_terminal


@contextmanager
def progress(text: str, total: float, *, in_bytes: bool) -> Iterator[Callable[[float], object]]:
    """Show a bar on a terminal; yield the function that sets how much of the total is done.

    Numbers are bytes, shown with their rate, or plain shares.
    """
    if not is_terminal():
        yield lambda done: None
        return
    from rich import progress as rich
    from rich.console import Console

    columns: tuple[rich.ProgressColumn, ...]
    if in_bytes:
        columns = rich.DownloadColumn(), rich.TransferSpeedColumn(), rich.TimeRemainingColumn()
    else:
        columns = rich.TaskProgressColumn(), rich.TimeElapsedColumn()
    before = (rich.TextColumn("{task.description}"),) if text else ()
    console = Console(stderr=True)
    with rich.Progress(*before, rich.BarColumn(), *columns, console=console, transient=True) as bar:
        task = bar.add_task(text, total=total)
        yield lambda done: bar.update(task, completed=done)
