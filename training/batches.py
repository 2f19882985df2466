"""Cuts the encoded corpus into batches, and knows where it stands.

In: `tokens.npy` and `offsets.npy` as training.tokenizer writes them. Out: pairs of inputs and
targets, the targets being the inputs moved by one token.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

# Documents never trained on, at the least: enough for a batch of the held-out loss.
LEAST_HELD_OUT = 150


@dataclass
class Position:
    """Where the next batch begins: enough to go on exactly after an interruption."""

    epoch: int = 0
    token: int = 0


def to_rows(tokens: np.ndarray, rows: int, context: int) -> tuple[Tensor, Tensor]:
    """Turns `rows * context + 1` tokens into inputs and targets of shape (rows, context)."""
    ids = torch.from_numpy(tokens[: rows * context + 1].astype(np.int64))
    return ids[:-1].view(rows, context), ids[1:].view(rows, context)


class Corpus:
    """The documents, shuffled anew for each epoch and packed end to end.

    Rows are cut from the stream of packed documents without regard to where a document ends, so
    every position up to the end of the context is trained, however short the documents are.
    """

    def __init__(self, run: Path, held_out_share: float = 0.01, seed: int = 0) -> None:
        self._tokens = np.load(run / "tokens.npy")
        self._offsets = np.load(run / "offsets.npy")
        self._seed = seed
        documents = np.random.default_rng(seed).permutation(len(self._offsets) - 1)
        kept_back = max(LEAST_HELD_OUT, int(len(documents) * held_out_share))
        self.held_out = self._pack(documents[:kept_back])
        self._documents = documents[kept_back:]
        self._stream: np.ndarray | None = None
        self.position = Position()

    def _pack(self, documents: np.ndarray) -> np.ndarray:
        """Returns these documents, in this order, as one array of tokens."""
        starts, ends = self._offsets[documents], self._offsets[documents + 1]
        return np.concatenate(
            [self._tokens[start:end] for start, end in zip(starts, ends, strict=True)]
        )

    def seek(self, position: Position) -> None:
        """Goes to a position saved earlier."""
        self.position = position
        self._stream = None

    def next(self, rows: int, context: int) -> tuple[Tensor, Tensor]:
        """Returns the next `rows * context` tokens as inputs and targets, and moves on.

        The order depends on the seed and the epoch only, never on the shape of earlier batches.
        """
        needed = rows * context
        while True:
            if self._stream is None:
                rng = np.random.default_rng((self._seed, self.position.epoch))
                self._stream = self._pack(rng.permutation(self._documents))
            start = self.position.token
            if start + needed < len(self._stream):
                self.position.token += needed
                return to_rows(self._stream[start : start + needed + 1], rows, context)
            if start == 0:
                raise ValueError(f"the corpus has fewer than {needed + 1} tokens for one batch")
            self.position = Position(self.position.epoch + 1, 0)
            self._stream = None
