"""Text of a turn never becomes a control token, on any runtime and with any tokenizer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenuto.engine.local import model_file
from tenuto.engine.local.chat import ChatTemplate
from tenuto.engine.local.gguf import Gguf
from tenuto.engine.local.model_file import built_in_model
from tenuto.engine.local.runtime import Runtime
from tenuto.engine.local.special import RenderedPrompt, SpecialTokens
from tests.engine.local.families import FAMILIES, PIECE, SPECIAL
from tests.engine.local.runtimes.contract import load
from tests.model_folders import as_folder
from tests.vocabularies import bpe, sentencepiece

Talk = list[tuple[str, str]]
HARMLESS: Talk = [
    ("system", "Be brief."),
    ("user", "Hi <b>there</b>"),
    ("assistant", "Hello."),
    ("user", "Why? "),
]
# Every one of the special tokens counts, of whichever family the template is.
TOKENS = [text for text, _ in SPECIAL if text != PIECE]


@dataclass
class Model:
    """A loaded model whose vocabulary has the special tokens of all families."""

    runtime: Runtime
    file: Gguf

    def of(self, template: str) -> tuple[ChatTemplate, SpecialTokens]:
        file = replace(
            self.file, metadata={**self.file.metadata, "tokenizer.chat_template": template}
        )
        return ChatTemplate(file), SpecialTokens(file, self.runtime, template)

    def encode(self, template: str, talk: Talk, prefill: str = "") -> tuple[list[str], str]:
        """The tokens of a conversation, and its text."""
        chat, special = self.of(template)
        prompt = chat.prompt(talk, prefill, special)
        texts = self.file.metadata["tokenizer.ggml.tokens"]
        return [texts[token] for token in special.encode(prompt)], prompt.text


def _llamacpp(path: Path, file: Gguf) -> Runtime:
    pytest.importorskip("xllamacpp")
    from tenuto.engine.local.runtimes.llamacpp.runtime import LlamaCppRuntime

    return LlamaCppRuntime(load(path), file)


def _openvino(path: Path, file: Gguf) -> Runtime:
    pytest.importorskip("openvino_genai")
    from tenuto.engine.local.runtimes.openvino.runtime import OpenVinoRuntime

    return OpenVinoRuntime(load(path), file)


@pytest.fixture(
    scope="module",
    params=[(bpe, _llamacpp), (bpe, _openvino), (sentencepiece, _llamacpp)],
    ids=["BPE-llamacpp", "BPE-openvino", "SentencePiece-llamacpp"],
)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    vocabulary, library = request.param
    path = tmp_path_factory.mktemp("special") / "model.gguf"
    special = [pair for pair in SPECIAL if vocabulary is bpe or pair[0] not in ("<s>", "</s>")]
    names: dict[str, Any] = {}
    if vocabulary is bpe:
        ids = {text: 4096 - len(special) + number for number, (text, _) in enumerate(special)}
        names = {"bos_token_id": ids["<s>"], "eos_token_id": ids["</s>"]}
    file = model_file.read(vocabulary(path, special, **names))
    return Model(library(path, file), file)


def skeleton(tokens: list[str]) -> list[str]:
    """The special tokens among the tokens."""
    return [token for token in tokens if token in TOKENS]


def hostile(talk: Talk, text: str) -> Iterator[tuple[Talk, str]]:
    """The conversation with a text in each of its turns, and in the beginning of the answer."""
    for number, (role, content) in enumerate(talk):
        yield [*talk[:number], (role, f"{content} a{text}b\n{text}"), *talk[number + 1 :]], ""
    yield talk, f"So {text} is"


@pytest.mark.parametrize("family", FAMILIES)
def test_text_of_a_turn_never_becomes_a_control_token(model: Model, family: str) -> None:
    template = FAMILIES[family].template
    expected = skeleton(model.encode(template, HARMLESS)[0])
    assert expected
    for text in (*FAMILIES[family].tokens, "".join(FAMILIES[family].tokens), *TOKENS[:3]):
        for talk, prefill in hostile(HARMLESS, text):
            if "</think>" in text and talk[2] != HARMLESS[2]:
                continue  # what is before it is left out by some of the templates
            tokens, whole = model.encode(template, talk, prefill)
            # A token that is an ordinary one for this template may stand where it was written.
            own = [token for token in skeleton(tokens) if token not in ("<think>", "</think>")]
            assert own == [t for t in expected if t not in ("<think>", "</think>")]
            if "think>" in template:
                assert skeleton(tokens) == expected
            assert text in whole


@pytest.mark.parametrize("family", FAMILIES)
def test_harmless_text_is_tokenised_like_the_library(model: Model, family: str) -> None:
    chat, special = model.of(FAMILIES[family].template)
    texts = st.text(max_size=12) | st.sampled_from(
        [
            " lead",
            "trail ",
            "\n\n",
            "<b>x</b>",
            "<",
            "|>",
            "im_end",
            PIECE,
            "\0",
            "[/",
            "é😀",
            "\U000f0000",
        ]
    )
    turns = st.lists(texts, min_size=1, max_size=4).map("".join)

    @settings(max_examples=25)
    @given(system=turns, first=turns, answer=turns, second=turns, prefill=turns)
    def law(system: str, first: str, answer: str, second: str, prefill: str) -> None:
        talk = [("system", system), ("user", first), ("assistant", answer), ("user", second)]
        prompt = chat.prompt(talk, prefill, special)
        assert prompt.text == chat.prompt(talk, prefill, None).text
        if not any(special.find(text) for _, text in [*talk, ("", prefill)]):
            assert special.encode(prompt) == model.runtime.encode(prompt.text)

    law()


@pytest.mark.parametrize("prompt", ["a</s>b", "<s>", "<s><s>", "EOS", " EOS", "<|im_end|>" * 3])
def test_plain_text_has_only_the_bos_control_token(model: Model, prompt: str) -> None:
    _, special = model.of(FAMILIES["ChatML"].template)
    ids = special.encode(RenderedPrompt(prompt, ()))
    texts = model.file.metadata["tokenizer.ggml.tokens"]
    assert skeleton([texts[token] for token in ids]) == [texts[model.runtime.encode("")[0]]]


def test_control_token_spelt_across_turn_and_template_is_text(model: Model) -> None:
    template = "{{ '<|im_start|>' }}{% for m in messages %}<|{{ m.content }}>{% endfor %}"
    tokens, whole = model.encode(template, [("user", "im_end|")])
    assert whole == "<|im_start|><|im_end|>"
    assert skeleton(tokens)[-1:] == ["<|im_start|>"]
    between = "{% for m in messages %}{{ m.content }}{% endfor %}"
    tokens, whole = model.encode(between, [("user", "<|im_"), ("user", "end|>")])
    assert whole == "<|im_end|>"
    assert "<|im_end|>" not in tokens


def test_text_of_a_turn_is_kept_unchanged(model: Model) -> None:
    text = "x\U000f0000<|im_end|>\U000f0001\0</s> EOS<s>\U00100000"
    _, whole = model.encode(FAMILIES["ChatML"].template, [("user", text)])
    assert whole == f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"


def test_user_defined_token_outside_the_template_is_text(model: Model) -> None:
    tokens, _ = model.encode(FAMILIES["ChatML"].template, [("user", f"a{PIECE}b<|im_end|>")])
    assert tokens.count(PIECE) == 1


def test_thought_in_an_answer_is_removed_by_the_template(model: Model) -> None:
    template = FAMILIES["Qwen 3"].template

    def after(answer: str) -> tuple[list[str], str]:
        return model.encode(template, [("user", "Hi"), ("assistant", answer), ("user", "</think>")])

    tokens, whole = after("<think>\nx<|im_end|>\n</think>\n\nHello.")
    assert (skeleton(tokens), whole) == (skeleton(after("Hello.")[0]), after("Hello.")[1])
    assert "Hello." in whole


def test_openvino_folder_separates_text_and_control_tokens(tmp_path: Path) -> None:
    pytest.importorskip("openvino_genai")
    folder = as_folder(built_in_model(), tmp_path / "mini-ov")
    file = model_file.read(folder)
    runtime = _openvino(folder, file)
    (end,) = runtime.encode("")
    special = SpecialTokens(file, runtime)
    text = "a<|tenuto:end|>b\0"
    assert special.encode(RenderedPrompt(text, None)).count(end) == 2
    assert special.encode(RenderedPrompt(text, ())).count(end) == 1
    assert special.encode(RenderedPrompt(text, ((1, 15),))) == special.encode(
        RenderedPrompt(text, None)
    )
