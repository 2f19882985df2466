"""Batches of the encoded corpus, and the position in it.

Input: `tokens.npy`, `offsets.npy` and `tokenizer.json` as training.tokenizer writes them. Output:
inputs, targets (the inputs shifted by one token) and the weight of each target.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.tokenizer import END_ID

# The minimum number of held-out documents: enough for one batch of the held-out loss.
LEAST_HELD_OUT = 150

# The weight of a token of a Human turn; tokens of answers and plain text have weight 1. Human turns
# are unpredictable, above all their made-up words: at weight 1, their loss would outweigh that of
# the answers.
PROMPT_WEIGHT = 0.1


@dataclass
class Position:
    """The start of the next batch, for an exact resume after an interruption."""

    epoch: int = 0
    token: int = 0


class TurnWeights:
    """The weights of tokens by their turn, derived from the tokens alone."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._human = tokenizer.encode("Human:").ids
        self._assistant = tokenizer.encode("Assistant:").ids

    def of(self, tokens: np.ndarray) -> np.ndarray:
        """Return the weight of each token as a target: 1, or `PROMPT_WEIGHT` in a Human turn.

        The mark `Human:` has weight 1, because it ends an answer; the mark `Assistant:` belongs to
        the Human turn. Text before the first mark of a document has weight 1.
        """
        turn = np.full(
            len(tokens), -1, dtype=np.int64
        )  # from here on: 1 is weight 1, 0 is PROMPT_WEIGHT
        for mark, full in ((self._human, 0), (self._assistant, 1)):
            starts = len(tokens) - len(mark)
            found = np.ones(max(starts, 0), dtype=bool)
            for place, token in enumerate(mark):
                found &= tokens[place : place + len(found)] == token
            turn[np.flatnonzero(found) + len(mark)] = full
        turn[tokens == END_ID] = 1  # last, because an end token mostly follows a mark
        last_change = np.maximum.accumulate(np.where(turn >= 0, np.arange(len(tokens)), 0))
        in_full = turn[last_change] != 0
        return np.where(in_full, 1.0, PROMPT_WEIGHT).astype(np.float32)


class Batch(NamedTuple):
    """Inputs, targets and the weights of the targets; each of shape (rows, context)."""

    ids: Tensor
    targets: Tensor
    weights: Tensor


class Corpus:
    """The documents, shuffled for each epoch and packed end to end.

    Rows ignore the ends of documents, so every position of the context is trained even with short
    documents.
    """

    def __init__(self, run: Path, held_out_share: float = 0.01, seed: int = 0) -> None:
        self._tokens = np.load(run / "tokens.npy")
        self._offsets = np.load(run / "offsets.npy")
        self._turn_weights = TurnWeights(Tokenizer.from_file(str(run / "tokenizer.json")))
        self._seed = seed
        documents = np.random.default_rng(seed).permutation(len(self._offsets) - 1)
        held_out_count = max(LEAST_HELD_OUT, int(len(documents) * held_out_share))
        self.held_out = self._pack(documents[:held_out_count])
        self._documents = documents[held_out_count:]
        self._stream: np.ndarray | None = None
        self.position = Position()

    def _pack(self, documents: np.ndarray) -> np.ndarray:
        """Return the documents, in this order, as one array of tokens."""
        starts, ends = self._offsets[documents], self._offsets[documents + 1]
        return np.concatenate(
            [self._tokens[start:end] for start, end in zip(starts, ends, strict=True)]
        )

    def seek(self, position: Position) -> None:
        """Move to a saved position."""
        self.position = position
        self._stream = None

    def to_rows(self, tokens: np.ndarray, rows: int, context: int) -> Batch:
        """Convert `rows * context + 1` tokens to a batch."""
        tokens = tokens[: rows * context + 1]
        ids = torch.from_numpy(tokens.astype(np.int64))
        weights = torch.from_numpy(self._turn_weights.of(tokens))
        return Batch(*(t.view(rows, context) for t in (ids[:-1], ids[1:], weights[1:])))

    def next(self, rows: int, context: int) -> Batch:
        """Return the next `rows * context` tokens as a batch, and advance.

        The order depends on the seed and the epoch only, not on the shape of earlier batches.

        Raises:
            ValueError: The corpus has fewer tokens than one batch.
        """
        needed = rows * context
        while True:
            if self._stream is None:
                rng = np.random.default_rng((self._seed, self.position.epoch))
                self._stream = self._pack(rng.permutation(self._documents))
            start = self.position.token
            if start + needed < len(self._stream):
                self.position.token += needed
                return self.to_rows(self._stream[start : start + needed + 1], rows, context)
            if start == 0:
                raise ValueError(
                    f"the corpus has fewer than {needed + 1} tokens for one batch; add documents"
                )
            self.position = Position(self.position.epoch + 1, 0)
            self._stream = None
