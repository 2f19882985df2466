"""Measures the loss on fresh documents of each kind.

In: a run directory with a checkpoint and its tokenizer. Out: for each kind of document, nats per
token of what the model has to write: answers, and plain text. What a person says is not counted.
"""

from pathlib import Path
from random import Random

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn import functional

from training import checkpoint
from training.batches import Speakers
from training.corpus.documents import PLAIN, TALKS, document_of
from training.tokenizer import END_ID

SEED = 90_001  # not the seed of any corpus
DOCUMENTS = 60


def held_out_losses(run: Path, documents: int = DOCUMENTS) -> dict[str, float]:
    """Returns the mean loss by kind, over this many fresh documents of each.

    They come from the same templates as the training text, with names and words drawn anew; many
    of a narrow kind, such as sums, will have been in it word for word.
    """
    model = checkpoint.read_model(run)
    tokenizer = Tokenizer.from_file(str(run / "tokenizer.json"))
    speakers = Speakers(tokenizer)
    losses = {}
    for kind in (name for name, _, _ in (*TALKS, *PLAIN)):
        rng = Random(SEED)
        total, count = 0.0, 0
        for _ in range(documents):
            ids = [END_ID, *tokenizer.encode(document_of(kind, rng)).ids][
                : model.config.context + 1
            ]
            counted = torch.from_numpy(speakers.weights(np.array(ids)) == 1)[1:]
            with torch.no_grad():
                logits = model(torch.tensor([ids[:-1]]))[0]
            each = functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")
            total += float(each[counted].sum())
            count += int(counted.sum())
        losses[kind] = total / count
    return losses
