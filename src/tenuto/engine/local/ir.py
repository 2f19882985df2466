"""A model in OpenVINO's own format (IR): a folder, as `optimum-cli export openvino` writes it.

The folder's configuration is translated to GGUF metadata, so that the rest handles one format. As
with a GGUF file, sizes are checked before a library maps the weights: reading beyond a file's end
ends the whole process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tenuto.engine.local import gguf
from tenuto.engine.local.gguf import Format, Gguf, ModelFileError
from tenuto.engine.local.vocabulary import is_text

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MODEL: Final = "openvino_model"
TOKENIZER: Final = "openvino_tokenizer"
# Loaded by the library, and not used.
_DETOKENIZER: Final = "openvino_detokenizer"

# Outputs of networks, each for another task.
_LOGITS: Final = "logits"
_OUTPUTS: Final = frozenset(
    {_LOGITS, "last_hidden_state", "token_embeddings", "sentence_embedding", "pooler_output"}
)

# Far above real vocabularies: a damaged one must not cause large allocations.
_MAX_TOKENS: Final = 4_000_000

# GGUF's name -> names in config.json: that of most models, and GPT-2's.
_NUMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "context_length": ("max_position_embeddings", "n_positions"),
    "block_count": ("num_hidden_layers", "n_layer"),
    "embedding_length": ("hidden_size", "n_embd"),
    "attention.head_count": ("num_attention_heads", "n_head"),
    "attention.head_count_kv": ("num_key_value_heads",),
    "attention.key_length": ("head_dim",),
}
_OPTIONAL: Final = frozenset({"attention.head_count_kv", "attention.key_length"})


@dataclass(frozen=True, slots=True)
class IrModel(Gguf):
    """A folder's model as GGUF metadata, without tensors; `ends` end a text or a turn."""

    format: ClassVar[Format] = "ir"

    ends: frozenset[int]


def is_ir(folder: Path) -> bool:
    """Return whether a folder looks like a model in OpenVINO's format."""
    return (folder / f"{MODEL}.xml").exists()


def folder_name(folder: Path) -> str:
    """Return the name of a folder's model: the folder's own name, not that of a link's target.

    In the hub's cache, whose folders are named after commits, it is the repository's name.
    """
    path = Path(os.path.normpath(folder.absolute()))
    # models--org--repo/snapshots/commit
    cache = path.parent.parent.name
    if path.parent.name == "snapshots" and cache.startswith("models--"):
        return cache.rpartition("--")[2]
    return path.name


def read(folder: Path) -> IrModel:
    """Read and check everything but the weights.

    Raises:
        ModelFileError: A file is missing or damaged, or the kind of model is not supported.
        OSError: A file cannot be read.
    """
    for network in (MODEL, TOKENIZER, _DETOKENIZER):
        _check_network(folder, network)
    config = _object(folder, "config.json")
    tokenizer = _object(folder, "tokenizer.json")
    architecture = config.get("model_type")
    if not isinstance(architecture, str):
        raise ModelFileError("config.json: model_type is missing")
    metadata: dict[str, Any] = {
        "general.architecture": architecture,
        "general.name": folder_name(folder),
    }
    for name, keys in _NUMBERS.items():
        if name not in _OPTIONAL or any(config.get(key) is not None for key in keys):
            metadata[f"{architecture}.{name}"] = _number(config, keys)
    texts, types = _vocabulary(tokenizer, config.get("vocab_size"))
    metadata["tokenizer.ggml.model"] = _kind(tokenizer)
    metadata["tokenizer.ggml.tokens"] = texts
    metadata["tokenizer.ggml.token_type"] = types
    metadata.update(_chat(folder, texts))
    return IrModel(metadata, (), _ends(folder, config, len(texts)))


def _check_network(folder: Path, name: str) -> None:
    """Check that all constants of a network lie within its file of weights."""
    # Imported late because GGUF files do without.
    from xml.etree import ElementTree

    network, weights = folder / f"{name}.xml", folder / f"{name}.bin"
    end = 0
    outputs: set[str] = set()
    try:
        size = weights.stat().st_size
        # Safe: expat limits the expansion of entities, and loads no external ones.
        for _, element in ElementTree.iterparse(network):  # noqa: S314
            if element.tag == "port":
                outputs |= {*element.get("names", "").split(",")} & _OUTPUTS
            if element.tag == "layer":
                end = max(end, _constant_end(element))
                element.clear()
    except FileNotFoundError as error:
        raise ModelFileError(f"{Path(error.filename).name} is missing") from None
    except (ElementTree.ParseError, KeyError, ValueError):
        raise ModelFileError(f"{network.name} is damaged: not a description of a network") from None
    if outputs and _LOGITS not in outputs:
        raise ModelFileError(
            f"not a model that completes text: {network.name} returns {sorted(outputs)[0]} and no "
            "logits, as an embedding model does"
        )
    if end > size:
        raise ModelFileError(f"{weights.name} is truncated: {size} bytes of at least {end}")


def _constant_end(layer: Element) -> int:
    """Return the end of a layer's constant in the file of weights; 0 without one."""
    data = layer.find("data") if layer.get("type") == "Const" else None
    if data is None:
        return 0
    start, length = int(data.attrib["offset"]), int(data.attrib["size"])
    if min(start, length) < 0:
        raise ValueError
    return start + length


def _object(folder: Path, name: str) -> dict[str, Any]:
    try:
        value = json.loads((folder / name).read_bytes())
    except FileNotFoundError:
        raise ModelFileError(
            f"{name} is missing; copy it from the repository that the model was converted from"
        ) from None
    except (ValueError, RecursionError):
        raise ModelFileError(f"{name} is damaged: not valid JSON") from None
    if not isinstance(value, dict):
        raise ModelFileError(f"{name} is damaged: not a JSON object")
    return value


def _object_if_any(folder: Path, name: str) -> dict[str, Any]:
    return _object(folder, name) if (folder / name).exists() else {}


def _number(config: Mapping[str, Any], keys: tuple[str, ...]) -> int:
    value = next((config[key] for key in keys if config.get(key) is not None), None)
    if type(value) is not int or value < 1:
        problem = "is missing" if value is None else "must be a positive integer"
        raise ModelFileError(f"config.json: {keys[0]} {problem}")
    return value


def _vocabulary(tokenizer: Mapping[str, Any], size: object) -> tuple[list[str], list[int]]:
    """Return the texts and types of all tokens, by id; `size` may be larger, for alignment."""
    try:
        vocabulary = tokenizer["model"]["vocab"]
        if isinstance(vocabulary, dict):
            normal = {index: text for text, index in vocabulary.items()}
        else:
            normal = {index: text for index, (text, _) in enumerate(vocabulary)}
        added = {
            each["id"]: (each["content"], gguf.CONTROL if each["special"] else gguf.USER_DEFINED)
            for each in tokenizer.get("added_tokens") or ()
        }
        tokens = {index: (text, gguf.NORMAL) for index, text in normal.items()} | added
        if (unknown := _unknown(tokenizer["model"], normal)) in tokens:
            tokens[unknown] = (tokens[unknown][0], gguf.UNKNOWN)
        sound = all(
            isinstance(index, int) and index >= 0 and isinstance(text, str) and is_text(text)
            for index, (text, _) in tokens.items()
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        sound, tokens = False, {}
    if not sound or not tokens:
        raise ModelFileError("tokenizer.json is damaged: its vocabulary cannot be read")
    count = max(max(tokens) + 1, size if isinstance(size, int) else 0)
    if count > _MAX_TOKENS:
        raise ModelFileError("tokenizer.json is damaged: it counts more tokens than any model has")
    listed = [tokens.get(index, ("", gguf.UNUSED)) for index in range(count)]
    return [text for text, _ in listed], [kind for _, kind in listed]


def _unknown(model: Mapping[str, Any], texts: Mapping[int, str]) -> int:
    """Return the token for text that the vocabulary lacks; -1 without one."""
    if isinstance(model.get("unk_id"), int):
        return int(model["unk_id"])
    named = (index for index, text in texts.items() if text == model.get("unk_token"))
    return next(named, -1)


def _kind(tokenizer: Mapping[str, Any]) -> str:
    """Return GGUF's name for the kind of tokenizer."""
    kinds = set(_types(tokenizer.get("decoder")))
    if "ByteLevel" in kinds:
        return "gpt2"
    if kinds & {"ByteFallback", "Metaspace"}:
        return "llama"
    raise ModelFileError(
        "tokenizer.json: only byte-level BPE and SentencePiece are supported, and its decoder is "
        f"{', '.join(map(repr, sorted(kinds))) or 'missing'}"
    )


def _types(decoder: object) -> Iterator[str]:
    """Yield the type of a decoder, or those of all decoders in a sequence."""
    if isinstance(decoder, dict):
        inner = decoder.get("decoders")
        for each in inner if isinstance(inner, list) else [decoder]:
            if isinstance(each, dict):
                yield str(each.get("type"))


def _chat(folder: Path, texts: list[str]) -> dict[str, Any]:
    """Return the metadata of the chat template, its BOS and EOS, and whether BOS is added."""
    config = _object_if_any(folder, "tokenizer_config.json")
    # Without the entry, the tokenizer itself adds BOS.
    found: dict[str, Any] = {"tokenizer.ggml.add_bos_token": config.get("add_bos_token") is True}
    template = config.get("chat_template")
    if isinstance(template, list):
        named = [each for each in template if isinstance(each, dict)]
        defaults = (each.get("template") for each in named if each.get("name") == "default")
        template = next(defaults, None)
    if (file := folder / "chat_template.jinja").exists():
        template = file.read_text("utf-8", "replace")
    if isinstance(template, str):
        found["tokenizer.chat_template"] = template
    for name in ("bos", "eos"):
        token = config.get(f"{name}_token")
        text = token.get("content") if isinstance(token, dict) else token
        if isinstance(text, str) and text in texts:
            found[f"tokenizer.ggml.{name}_token_id"] = texts.index(text)
    return found


def _ends(folder: Path, config: Mapping[str, Any], count: int) -> frozenset[int]:
    generation = _object_if_any(folder, "generation_config.json")
    ends: set[int] = set()
    for value in (generation.get("eos_token_id"), config.get("eos_token_id")):
        listed = value if isinstance(value, list) else [value]
        ends |= {token for token in listed if isinstance(token, int) and 0 <= token < count}
    return frozenset(ends)
