"""Models for tests that generate the same text for every prompt.

The text of a trained model depends on the arithmetic of the processor. These models do not: no
layer adds anything, so that the last token alone decides on the next one, which is by far likelier
than all others.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from pathlib import Path

from tenuto.engine.local import gguf
from tenuto.engine.local.model_file import built_in_model
from tests.split_files import RawTensor, put_together, take_apart

# Sampled with any seed, the known token is missed once in 10**20 times.
CERTAIN = 55.0

_Q8_0 = 8
_BLOCK = 32
# All other tokens are ones here; generated ones have a dimension each after it.
_OTHERS = 32


def scripted(path: Path, *tokens: str, ends: bool = True, logit: float = CERTAIN) -> Path:
    """Write a model that generates these tokens, and then ends or starts again.

    Args:
        path: The file to write.
        tokens: Different tokens of the built-in model's vocabulary, such as " The" and ".".
        ends: Whether the text ends after the last token; if not, the first one follows on it.
        logit: The logit of the token that follows; that of all others is 0.
    """
    file = gguf.read(built_in_model())
    vocabulary: list[str] = file.metadata["tokenizer.ggml.tokens"]
    end: int = file.metadata["tokenizer.ggml.eos_token_id"]
    width: int = file.metadata["llama.embedding_length"]
    ids = [vocabulary.index(token.replace(" ", "Ġ").replace("\n", "Ċ")) for token in tokens]
    assert len(set(ids)) == len(ids) <= width - _OTHERS

    # The final norm makes a vector's mean square 1, whatever its length was.
    place = {token: _OTHERS + number for number, token in enumerate(ids)}
    embeddings = [_row(width, {place[token]: 1.0} if token in place else _ONES)
                  for token in range(len(vocabulary))]  # fmt: skip
    alone, among_others = math.sqrt(width), math.sqrt(width / _OTHERS) * _OTHERS
    outputs = [bytes(len(embeddings[0]))] * len(vocabulary)
    follows: dict[int, dict[int, float]] = {ids[0]: dict.fromkeys(_ONES, logit / among_others)}
    for token, following in zip(ids, [*ids[1:], end if ends else ids[0]], strict=True):
        follows.setdefault(following, {})[place[token]] = logit / alone
    for token, weights in follows.items():
        outputs[token] = _row(width, weights)

    whole = take_apart(built_in_model().read_bytes())
    tensors = []
    for tensor in whole.tensors:
        name = _name(tensor)
        data = tensor.data
        if name == "token_embd.weight":
            data = b"".join(embeddings)
        elif name == "output_norm.weight":
            data = struct.pack("<f", 1.0) * width
        elif name.endswith(("attn_output.weight", "ffn_down.weight")):
            data = bytes(len(data))
        tensors.append(RawTensor(tensor.description, data))
    tensors.append(
        RawTensor(_described("output.weight", width, len(vocabulary)), b"".join(outputs))
    )
    path.write_bytes(put_together(whole.pairs, tuple(tensors)))
    return path


def logprob(logit: float) -> float:
    """The log probability of a token of `scripted` with this logit."""
    others: Sequence[str] = gguf.read(built_in_model()).metadata["tokenizer.ggml.tokens"][1:]
    return -math.log1p(len(others) * math.exp(-logit))


_ONES = dict.fromkeys(range(_OTHERS), 1.0)


def _row(width: int, weights: dict[int, float]) -> bytes:
    """A row of a matrix in Q8_0: blocks of a scale and 32 whole numbers."""
    scale = max(weights.values()) / 127
    numbers = [round(weights.get(column, 0.0) / scale) for column in range(width)]
    return b"".join(
        struct.pack("<e32b", scale, *numbers[at : at + _BLOCK]) for at in range(0, width, _BLOCK)
    )


def _name(tensor: RawTensor) -> str:
    (length,) = struct.unpack_from("<Q", tensor.description)
    return tensor.description[8 : 8 + int(length)].decode()


def _described(name: str, width: int, rows: int) -> bytes:
    text = name.encode()
    return struct.pack("<Q", len(text)) + text + struct.pack("<IQQI", 2, width, rows, _Q8_0)
