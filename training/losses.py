"""The loss on new documents of each kind.

Input: a run directory with a checkpoint and its tokenizer. Output: for each kind of document, nats
per token of answers and plain text. Tokens of Human turns are excluded.
"""

from pathlib import Path
from random import Random

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn import functional

from training import checkpoint
from training.batches import TurnWeights
from training.corpus.documents import PLAIN, TALKS, document_of
from training.tokenizer import END_ID

SEED = 90_001  # differs from the seed of every corpus
DOCUMENTS = 60


def held_out_losses(run: Path, documents: int = DOCUMENTS) -> dict[str, float]:
    """Return the mean loss by kind, over `documents` new documents of each.

    They come from the templates of the training text, with newly drawn names and words; many of a
    narrow kind, such as sums, also occur in the training text.
    """
    model = checkpoint.read_model(run)
    tokenizer = Tokenizer.from_file(str(run / "tokenizer.json"))
    turn_weights = TurnWeights(tokenizer)
    losses = {}
    for kind in (name for name, _, _ in (*TALKS, *PLAIN)):
        rng = Random(SEED)
        total, count = 0.0, 0
        for _ in range(documents):
            ids = [END_ID, *tokenizer.encode(document_of(kind, rng)).ids][
                : model.config.context + 1
            ]
            counted = torch.from_numpy(turn_weights.of(np.array(ids)) == 1)[1:]
            with torch.no_grad():
                logits = model(torch.tensor([ids[:-1]]))[0]
            each = functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")
            total += float(each[counted].sum())
            count += int(counted.sum())
        losses[kind] = total / count
    return losses
