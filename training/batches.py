"""Cuts the encoded corpus into batches, and knows where it stands.

In: `tokens.npy`, `offsets.npy` and `tokenizer.json` as training.tokenizer writes them. Out: inputs
and targets, the targets being the inputs moved by one token, and what each target counts.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.tokenizer import END_ID

# Documents never trained on, at the least: enough for a batch of the held-out loss.
LEAST_HELD_OUT = 150

# What a token that the person wrote counts, beside 1 for one of an answer or of plain text. Nobody
# can foresee what a person will say, least of all a made-up word to be repeated: at full weight,
# such words would drown what there is to learn.
PROMPT_WEIGHT = 0.1


@dataclass
class Position:
    """Where the next batch begins: enough to go on exactly after an interruption."""

    epoch: int = 0
    token: int = 0


class Speakers:
    """Tells from the tokens alone who wrote each of them."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._human = tokenizer.encode("Human:").ids
        self._assistant = tokenizer.encode("Assistant:").ids

    def weights(self, tokens: np.ndarray) -> np.ndarray:
        """Returns what each token counts as a target: 1, or `PROMPT_WEIGHT` in a person's turn.

        The mark `Human:` still counts in full, as that is how an answer ends; `Assistant:` counts
        as the person's. What stands before the first mark of a document counts in full.
        """
        turn = np.full(len(tokens), -1, dtype=np.int64)  # 1: counts in full from here on; 0: not
        for mark, full in ((self._human, 0), (self._assistant, 1)):
            starts = len(tokens) - len(mark)
            found = np.ones(max(starts, 0), dtype=bool)
            for place, token in enumerate(mark):
                found &= tokens[place : place + len(found)] == token
            turn[np.flatnonzero(found) + len(mark)] = full
        turn[tokens == END_ID] = 1  # last, as it mostly follows right after a mark
        last_change = np.maximum.accumulate(np.where(turn >= 0, np.arange(len(tokens)), 0))
        in_full = turn[last_change] != 0
        return np.where(in_full, 1.0, PROMPT_WEIGHT).astype(np.float32)


class Batch(NamedTuple):
    """Inputs, targets and the weights of the targets; each of shape (rows, context)."""

    ids: Tensor
    targets: Tensor
    weights: Tensor


class Corpus:
    """The documents, shuffled anew for each epoch and packed end to end.

    Rows are cut from the stream of packed documents without regard to where a document ends, so
    every position up to the end of the context is trained, however short the documents are.
    """

    def __init__(self, run: Path, held_out_share: float = 0.01, seed: int = 0) -> None:
        self._tokens = np.load(run / "tokens.npy")
        self._offsets = np.load(run / "offsets.npy")
        self._speakers = Speakers(Tokenizer.from_file(str(run / "tokenizer.json")))
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

    def to_rows(self, tokens: np.ndarray, rows: int, context: int) -> Batch:
        """Turns `rows * context + 1` tokens into a batch."""
        tokens = tokens[: rows * context + 1]
        ids = torch.from_numpy(tokens.astype(np.int64))
        weights = torch.from_numpy(self._speakers.weights(tokens))
        return Batch(*(t.view(rows, context) for t in (ids[:-1], ids[1:], weights[1:])))

    def next(self, rows: int, context: int) -> Batch:
        """Returns the next `rows * context` tokens as a batch, and moves on.

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
                return self.to_rows(self._stream[start : start + needed + 1], rows, context)
            if start == 0:
                raise ValueError(f"the corpus has fewer than {needed + 1} tokens for one batch")
            self.position = Position(self.position.epoch + 1, 0)
            self._stream = None
