"""The checkpoint of a run, replaced atomically: a crash during a save keeps the older file.

The file `checkpoint.pt` in the run directory has only plain numbers and tensors, so
`weights_only=True`, which runs no code from the file, can load it.
"""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from training.batches import Position
from training.model import Config, Llama

FILE = "checkpoint.pt"


@dataclass
class Progress:
    """The progress of a run and its measured losses, as pairs of tokens seen and loss."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    training_loss: list[tuple[float, float]] = field(default_factory=list)
    held_out_loss: list[tuple[float, float]] = field(default_factory=list)


def save(
    run: Path,
    model: Llama,
    optimizers: list[torch.optim.Optimizer],
    position: Position,
    progress: Progress,
) -> None:
    """Write the state that a resume needs, through a temporary file."""
    state = {
        "config": model.config.as_dict(),
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "position": asdict(position),
        "progress": asdict(progress),
    }
    temporary = run / f"{FILE}.new"
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(run / FILE)


def read(run: Path, device: str = "cpu") -> dict[str, Any]:
    """Return the state that `save` wrote."""
    state: dict[str, Any] = torch.load(run / FILE, map_location=device, weights_only=True)
    return state


def read_model(run: Path) -> Llama:
    """Return the trained network, for export and evaluation."""
    state = read(run)
    model = Llama(Config(**state["config"]))
    model.load_state_dict(state["model"])
    return model.eval()
