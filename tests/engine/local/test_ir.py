from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenuto.engine.local import ir, model_file
from tenuto.engine.local.gguf import ModelFileError
from tenuto.engine.local.vocabulary import token_bytes
from tests.model_folders import write

CONFIG = {
    "model_type": "qwen2",
    "max_position_embeddings": 4096,
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 8,
    "eos_token_id": 4,
}
TOKENIZER = {
    "model": {"type": "BPE", "vocab": {"a": 0, "\u0120b": 1, "\u00c3": 2}},
    "added_tokens": [
        {"id": 3, "content": "<tool>", "special": False},
        {"id": 4, "content": "<end>", "special": True},
    ],
    "decoder": {"type": "ByteLevel"},
}
# Two constants: the second ends at byte 24.
NETWORK = """<?xml version="1.0"?>
<net name="Model0" version="11">
  <layers>
    <layer id="0" name="a" type="Const"><data element_type="i8" offset="0" size="16"/></layer>
    <layer id="1" name="b" type="Const"><data element_type="i8" offset="16" size="8"/></layer>
    <layer id="2" name="c" type="Result"><data offset="0.5"/></layer>
  </layers>
</net>
"""
NETWORKS = ("openvino_model", "openvino_tokenizer", "openvino_detokenizer")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound folder."""
    folder = tmp_path / "some-model-int8-ov"
    folder.mkdir()
    for name in NETWORKS:
        (folder / f"{name}.xml").write_text(NETWORK)
        (folder / f"{name}.bin").write_bytes(bytes(24))
    write(folder, "config.json", CONFIG)
    write(folder, "tokenizer.json", TOKENIZER)
    return folder


def test_metadata_has_the_keys_of_gguf(folder: Path) -> None:
    model = model_file.read(folder)
    assert model.architecture == "qwen2"
    assert model.metadata["general.name"] == "some-model-int8-ov"
    assert model.hyperparameter("context_length") == 4096
    assert model.hyperparameter("block_count") == 2
    assert model.hyperparameter("attention.head_count_kv") == 2
    assert "qwen2.attention.key_length" not in model.metadata


def test_every_output_id_has_its_bytes(folder: Path) -> None:
    table = token_bytes(ir.read(folder))
    # The last three are there for alignment only.
    assert table == [b"a", b" b", b"\xc3", b"<tool>", b"", b"", b"", b""]


@pytest.mark.parametrize(
    ("vocabulary", "decoder"),
    [
        (
            {"<0xC3>": 0, "\u2581b": 1},
            {"type": "Sequence", "decoders": [{"type": "Replace"}, {"type": "ByteFallback"}]},
        ),
        ([["<0xC3>", 0.0], ["\u2581b", -1.5]], {"type": "Metaspace"}),
    ],
    ids=["BPE with bytes", "unigram"],
)
def test_sentencepiece_is_recognised_by_its_decoder(
    folder: Path, vocabulary: object, decoder: object
) -> None:
    write(folder, "tokenizer.json", {"model": {"vocab": vocabulary}, "decoder": decoder})
    assert token_bytes(ir.read(folder))[:2] == [b"\xc3", b" b"]


def test_hyperparameter_names_of_gpt2_are_read(folder: Path) -> None:
    config = {"model_type": "gpt2", "n_positions": 1024, "n_layer": 3, "n_embd": 32, "n_head": 2}
    write(folder, "config.json", config)
    model = ir.read(folder)
    assert model.hyperparameter("context_length") == 1024
    assert model.hyperparameter("attention.head_count") == 2


@pytest.mark.parametrize("value", [[3, 4], 3])
def test_end_tokens_of_every_file_are_merged(folder: Path, value: object) -> None:
    write(folder, "generation_config.json", {"eos_token_id": value})
    assert ir.read(folder).ends == {3, 4}


@pytest.mark.parametrize("token", ["<end>", {"content": "<end>", "lstrip": False}])
def test_named_special_tokens_are_found(folder: Path, token: object) -> None:
    write(folder, "tokenizer_config.json", {"eos_token": token, "bos_token": None})
    metadata = ir.read(folder).metadata
    assert metadata["tokenizer.ggml.eos_token_id"] == 4
    assert "tokenizer.ggml.bos_token_id" not in metadata


@pytest.mark.parametrize(
    "value",
    [
        {"chat_template": "{{ 1 }}"},
        {"chat_template": [{"name": "tool_use"}, {"name": "default", "template": "{{ 1 }}"}]},
    ],
)
def test_chat_template_is_read_from_the_tokenizer_config(folder: Path, value: object) -> None:
    write(folder, "tokenizer_config.json", value)
    assert ir.read(folder).metadata["tokenizer.chat_template"] == "{{ 1 }}"


def test_chat_template_file_takes_precedence(folder: Path) -> None:
    write(folder, "tokenizer_config.json", {"chat_template": "{{ 1 }}"})
    (folder / "chat_template.jinja").write_text("{{ 2 }}")
    assert ir.read(folder).metadata["tokenizer.chat_template"] == "{{ 2 }}"


@pytest.mark.parametrize(
    "name",
    [f"{network}.{ending}" for network in NETWORKS for ending in ("xml", "bin")]
    + ["config.json", "tokenizer.json"],
)
def test_missing_file_is_an_error_with_its_name(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelFileError, match=f"^{name} is missing"):
        ir.read(folder)


@pytest.mark.parametrize("network", NETWORKS)
def test_truncated_weights_are_rejected(folder: Path, network: str) -> None:
    (folder / f"{network}.bin").write_bytes(bytes(23))
    with pytest.raises(
        ModelFileError, match=rf"^{network}.bin is truncated: 23 bytes of at least 24$"
    ):
        ir.read(folder)


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "<net>",
        '<net><layer type="Const"><data offset="0"/></layer></net>',
        '<net><layer type="Const"><data offset="x" size="1"/></layer></net>',
        '<net><layer type="Const"><data offset="-1" size="1"/></layer></net>',
    ],
)
def test_damaged_description_is_rejected(folder: Path, xml: str) -> None:
    (folder / "openvino_model.xml").write_text(xml)
    with pytest.raises(ModelFileError, match=r"^openvino_model\.xml is damaged"):
        ir.read(folder)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("config.json", "{", "is damaged: not valid JSON"),
        ("config.json", "[]", "is damaged: not a JSON object"),
        ("config.json", "[" * 100_000, "is damaged"),
        ("config.json", "{}", "model_type is missing"),
        ("tokenizer.json", "{}", "its vocabulary cannot be read"),
        ("tokenizer.json", '{"model": {"vocab": {"a": "b"}}}', "its vocabulary cannot be read"),
        ("tokenizer.json", '{"model": {"vocab": {"a": 1e99}}}', "its vocabulary cannot be read"),
        ("tokenizer.json", '{"model": {"vocab": {"a": 9999999999}}}', "more tokens than any"),
    ],
)
def test_damaged_json_is_rejected(folder: Path, name: str, content: str, reason: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(ModelFileError, match=f"{name}.* {reason}|{name}: {reason}"):
        ir.read(folder)


@pytest.mark.parametrize("value", [0, -1, "4096", 1.5, True])
def test_invalid_number_is_an_error_with_its_key(folder: Path, value: object) -> None:
    write(folder, "config.json", CONFIG | {"max_position_embeddings": value})
    reason = "config.json: max_position_embeddings must be a positive integer"
    with pytest.raises(ModelFileError, match=reason):
        ir.read(folder)


def test_tokenizer_of_another_kind_is_rejected(folder: Path) -> None:
    write(folder, "tokenizer.json", TOKENIZER | {"decoder": {"type": "WordPiece"}})
    with pytest.raises(ModelFileError, match=r"only byte-level BPE and SentencePiece.*'WordPiece'"):
        ir.read(folder)


def problem(folder: Path) -> str:
    """Return the error of an invalid folder; "" for a valid one."""
    try:
        ir.read(folder)
    except ModelFileError as error:
        return str(error)
    return ""


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)
_NAMES = ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json")


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), value=_json, name=st.sampled_from(_NAMES))
def test_misplaced_values_raise_only_model_errors(
    folder: Path, data: st.DataObject, value: Any, name: str
) -> None:
    valid = {
        "config.json": CONFIG,
        "tokenizer.json": TOKENIZER,
        "tokenizer_config.json": {"bos_token": "a", "chat_template": "", "add_bos_token": True},
        "generation_config.json": {"eos_token_id": 4},
    }
    whole: dict[str, Any] = json.loads(json.dumps(valid[name]))
    place = whole
    # Somewhere in it, at any depth.
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = value
    damaged = folder.with_name("damaged")
    shutil.rmtree(damaged, ignore_errors=True)
    shutil.copytree(folder, damaged)
    write(damaged, name, whole)
    assert len(problem(damaged).splitlines()) <= 1


def test_network_without_logits_is_rejected(folder: Path) -> None:
    embeds = NETWORK.replace(
        '"Result"><data offset="0.5"/>',
        '"Result"><output><port id="0" names="last_hidden_state"/></output>',
    )
    (folder / "openvino_model.xml").write_text(embeds)
    with pytest.raises(
        ModelFileError, match=r"not a model that completes text: .* last_hidden_state"
    ):
        ir.read(folder)
    (folder / "openvino_model.xml").write_text(embeds.replace("last_hidden_state", "a,logits"))
    ir.read(folder)


@pytest.mark.parametrize("unknown", [{"unk_token": "a"}, {"unk_id": 0}])
def test_unknown_token_is_distinguished_from_others(folder: Path, unknown: dict[str, Any]) -> None:
    write(folder, "tokenizer.json", TOKENIZER | {"model": {**TOKENIZER["model"], **unknown}})  # type: ignore[dict-item]
    assert ir.read(folder).metadata["tokenizer.ggml.token_type"][:3] == [2, 1, 1]


def test_token_with_a_lone_surrogate_is_an_error(folder: Path) -> None:
    write(folder, "tokenizer.json", TOKENIZER | {"model": {"type": "BPE", "vocab": {"\ud800": 0}}})
    with pytest.raises(ModelFileError, match="its vocabulary cannot be read"):
        ir.read(folder)
