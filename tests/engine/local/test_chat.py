"""The templates here are our own, and do what those of the families do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tenuto.engine.local import gguf
from tenuto.engine.local.chat import ChatTemplate, is_chat_model, template_of
from tenuto.engine.local.gguf import Gguf
from tenuto.engine.local.sandbox import TemplateRefused
from tenuto.engine.local.special import SpecialTokens
from tests.model_files import with_template

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] }}"
    "{{ '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
QWEN_2_5 = (
    "{%- if messages[0]['role'] != 'system' %}\n"
    "    {{- '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' }}\n{%- endif %}\n" + CHATML
)
QWEN_3 = CHATML + (
    "{%- if add_generation_prompt and enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}"
)
LLAMA_3 = (
    "{{- bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m.role + "
    "'<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}"
    "{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}"
    "{% set role = 'model' if m.role == 'assistant' else m.role %}"
    "{{ '<start_of_turn>' + role + '\\n' + m.content | trim + '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}"
    "{{ '[INST] ' + m.content + ' [/INST]' }}{% elif m.role == 'assistant' %}"
    "{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)
PHI = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"
)

TALK = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello."), ("user", "Why?")]


def file(template: str | None, **general: str) -> Gguf:
    metadata = {
        "tokenizer.chat_template": template,
        "tokenizer.ggml.tokens": ["<s>", "</s>"],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
        **{f"general.{name}": value for name, value in general.items()},
    }
    return Gguf(metadata, ())


def render(template: str, messages: Sequence[tuple[str, str]], prefill: str = "") -> str:
    return ChatTemplate(file(template)).prompt(messages, prefill, None).text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (
            CHATML,
            (
                "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
                "<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n"
                "<|im_start|>assistant\nBecause"
            ),
        ),
        (
            QWEN_2_5,
            (
                "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
                "<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n"
                "<|im_start|>assistant\nBecause"
            ),
        ),
        (
            QWEN_3,
            (
                "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
                "<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n"
                "<|im_start|>assistant\n<think>\n\n</think>\n\nBecause"
            ),
        ),
        (
            LLAMA_3,
            (
                "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
                "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
                "<|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|>"
                "<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>"
                "<|start_header_id|>assistant<|end_header_id|>\n\nBecause"
            ),
        ),
        (
            GEMMA,
            (
                "<s><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n"
                "<start_of_turn>model\nHello.<end_of_turn>\n<start_of_turn>user\nWhy?<end_of_turn>\n"
                "<start_of_turn>model\nBecause"
            ),
        ),
        (MISTRAL, "<s>[INST] Be brief.\n\nHi [/INST] Hello.</s>[INST] Why? [/INST]Because"),
        (
            PHI,
            (
                "<|system|>\nBe brief.<|end|>\n<|user|>\nHi<|end|>\n"
                "<|assistant|>\nHello.<|end|>\n<|user|>\nWhy?<|end|>\n<|assistant|>\nBecause"
            ),
        ),
    ],
    ids=["ChatML", "Qwen 2.5", "Qwen 3", "Llama 3", "Gemma", "Mistral", "Phi"],
)
def test_conversation_is_rendered_in_the_format_of_its_family(template: str, text: str) -> None:
    assert render(template, TALK, "Because") == text


def test_template_adds_its_default_system_text() -> None:
    text = render(QWEN_2_5, [("user", "Hi")])
    assert text.startswith("<|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\nHi")


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ {'a': '<é>'} | tojson }}", '{"a": "<é>"}'),
        ("{{ {'b': 1, 'a': 2} | tojson(indent=1) }}", json.dumps({"b": 1, "a": 2}, indent=1)),
        ("{{ strftime_now('%Y') | length }}", "4"),
        ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
        ("{% generation %}a{% endgeneration %}b", "ab"),
        ("a\n  {% if true %}\nb\n  {% endif %}\nc", "a\nb\nc"),
    ],
)
def test_templates_have_the_expected_functions(template: str, text: str) -> None:
    assert render(template, [("user", "Hi")]) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ range(10**9) | list }}",
        "{{ 1 / 0 }}",
        "{{ nothing.at.all }}",
        "{% if %}",
        "{% import 'os' as os %}",
        "{{ raise_exception('no') }}",
    ],
)
def test_hostile_or_broken_template_is_rejected_in_one_line(template: str) -> None:
    with pytest.raises(TemplateRefused) as refusal:
        ChatTemplate(file(template))
    assert str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_messages_rejected_by_the_template_have_its_message() -> None:
    with pytest.raises(TemplateRefused, match=r"^Roles must alternate$"):
        render(GEMMA, [("assistant", "Hello."), ("user", "Hi")])


@pytest.mark.parametrize(
    ("general", "chats"),
    [
        ({"name": "Llama 3.2 1B Instruct"}, True),
        ({"name": "Qwen3 0.6B"}, True),
        ({"name": "Gemma 3 1b It", "finetune": "it"}, True),
        ({"name": "Based Model Instruct"}, True),
        ({"name": "Qwen3 0.6B Base"}, False),
        ({"name": "gemma", "finetune": "pt"}, False),
    ],
)
def test_base_model_is_recognised_by_its_name(general: dict[str, str], chats: bool) -> None:
    assert is_chat_model(file(CHATML, **general)) is chats


def test_format_setting_selects_the_template() -> None:
    base = file(CHATML, name="Model Base")
    assert template_of(base, "auto") is None
    assert template_of(base, "chat") is not None
    assert template_of(file(CHATML), "raw") is None
    assert template_of(file(None), "auto") is None
    with pytest.raises(TemplateRefused, match="no chat template"):
        template_of(file(None), "chat")


def test_template_is_read_from_the_model_file(tmp_path: Path) -> None:
    read = gguf.read(with_template(tmp_path / "chat.gguf", PHI))
    text = ChatTemplate(read).prompt([("user", "Hi")], "", None).text
    assert text == "<|user|>\nHi<|end|>\n<|assistant|>\n"


ONLY_TURNS = (
    "{% for m in messages %}{% if m.role != 'system' %}{{ '<' + m.role + '>' + m.content }}"
    "{% endif %}{% endfor %}{{ '<assistant>' }}"
)


class Letters:
    """A tokenizer of one token for each character."""

    def encode(self, text: str) -> list[int]:
        return [*map(ord, text)]

    encode_plain = encode


def prompt(template: str, messages: Sequence[tuple[str, str]], prefill: str = "") -> str:
    read = file(template)
    return ChatTemplate(read).prompt(messages, prefill, SpecialTokens(read, Letters())).text


@pytest.mark.parametrize("upper", ["", " | upper", " | trim", "[:99]"])
def test_system_text_repeated_in_a_turn_is_kept(upper: str) -> None:
    question = "Explain the note 'Be brief.' to me."
    template = ONLY_TURNS.replace("m.content", f"(m.content{upper})")
    expected = f"Be brief.\n\n{question}"
    expected = expected.upper() if "upper" in upper else expected
    talk = [("system", "Be brief."), ("user", question)]
    assert prompt(template, talk) == f"<user>{expected}<assistant>"
    assert render(template, talk) == f"<user>{expected}<assistant>"


def test_system_text_replaces_an_empty_first_turn() -> None:
    assert prompt(ONLY_TURNS, [("system", "Be brief."), ("user", "")]) == (
        "<user>Be brief.<assistant>"
    )


@pytest.mark.parametrize(
    ("template", "role"),
    [
        ("{% for m in messages[1:] %}{{ m.content }}{% endfor %}", "user"),
        ("{{ messages[0].content }}", "assistant"),
        (
            "{% for m in messages if m.role != 'assistant' %}{{ m.content }}{% endfor %}",
            "assistant",
        ),
    ],
)
def test_template_that_omits_a_turn_is_rejected(template: str, role: str) -> None:
    with pytest.raises(TemplateRefused, match=f"^it leaves out the text of the {role}$"):
        prompt(template, [("user", "Why?"), ("assistant", "Why?"), ("user", "Why?")])


def test_turns_of_white_space_may_be_omitted() -> None:
    template = "{% for m in messages if m.content.strip() %}{{ m.content }}{% endfor %}"
    assert prompt(template, [("user", " \n"), ("assistant", "a"), ("user", "b")]) == "ab"


def test_template_that_omits_the_user_has_a_warning() -> None:
    template = template_of(file("{{ bos_token }}Hello, {{ messages | length }}"), "chat")
    assert template is not None
    assert template.warning == "its chat template leaves out the text of the user"
    talks = template_of(file(CHATML), "chat")
    assert talks is not None
    assert talks.warning == ""


@pytest.mark.parametrize(
    "template",
    [
        "{% for p in messages[0].content %}{{ '<p>' + p.text }}{% endfor %}",
        "{{ messages[0].content[0]['text'] }}",
        "{% set p = messages[0].content[0] %}{{ p.text if p is mapping else raise_exception('') }}",
    ],
)
def test_template_with_content_parts_is_rendered(template: str) -> None:
    assert template_of(file(template), "chat") is not None
    assert prompt(template, [("user", "Hi")]).removeprefix("<p>") == "Hi"
    assert prompt(template, [("system", "So:"), ("user", "Hi")]).count("So:") == 1


def test_template_that_rejects_both_forms_raises_the_error_for_text() -> None:
    template = "{{ raise_exception('a list' if messages[0].content is string else 'a text') }}"
    with pytest.raises(TemplateRefused, match=r"^a list$"):
        ChatTemplate(file(template))


def test_the_time_is_the_same_in_the_whole_of_a_prompt() -> None:
    template = "{{ strftime_now('%f') }}{{ messages[0].content }}{{ strftime_now('%f') }}"
    text = prompt(template, [("user", "-")])
    assert text[:6] == text[7:]


@pytest.mark.parametrize(
    "template", ["caf\udce9 {{ messages[0].content }}", r"{{ 'caf\udce9 ' + messages[0].content }}"]
)
def test_lone_surrogates_in_a_template_are_replaced(template: str) -> None:
    assert prompt(template, [("user", "é")]) == "caf\ufffd é"
    with pytest.raises(TemplateRefused) as refusal:
        ChatTemplate(file(r"{{ raise_exception('\ud83d') }}"))
    assert str(refusal.value).encode()


def test_a_text_of_private_characters_is_kept() -> None:
    text = "".join(map(chr, range(0xF0000, 0xF0100))) + "\U0010fffd"
    assert prompt(CHATML, [("user", text)]).count(text) == 1


def test_more_turns_than_private_marks_are_rendered() -> None:
    talk = [("user" if n % 2 == 0 else "assistant", str(n)) for n in range(70_001)]
    assert prompt(ONLY_TURNS, talk).endswith("<user>70000<assistant>")
