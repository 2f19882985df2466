"""Chat templates that do what those of the families do, and the tokens that they write."""

from __future__ import annotations

from dataclasses import dataclass

from tests.engine.local.test_chat import CHATML, GEMMA, LLAMA_3, MISTRAL, PHI
from tests.vocabularies import CONTROL, USER_DEFINED

LLAMA_2 = (
    "{% if messages[0].role == 'system' %}{% set system = '<<SYS>>\\n' + messages[0].content + "
    "'\\n<</SYS>>\\n\\n' %}{% set messages = messages[1:] %}{% else %}{% set system = '' %}"
    "{% endif %}"
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' }}"
    "{{ (system if loop.first else '') + m.content.strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
DEEPSEEK = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}"
    "{% elif m.role == 'user' %}{{ '<\uff5cUser\uff5c>' + m.content }}"
    "{% else %}{{ '<\uff5cAssistant\uff5c>' + m.content.split('</think>')[-1] }}"
    "{{ '<\uff5cend\u2581of\u2581sentence\uff5c>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<\uff5cAssistant\uff5c></think>' }}{% endif %}"
)
COMMAND_R = (
    "{{ bos_token }}{% for m in messages %}{{ '<|START_OF_TURN_TOKEN|>' }}"
    "{{ '<|' + ('CHATBOT' if m.role == 'assistant' else m.role | upper) + '_TOKEN|>' }}"
    "{{ m.content.strip() + '<|END_OF_TURN_TOKEN|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}"
)
HARMONY = (
    "{% for m in messages %}{{ '<|start|>' + m.role }}"
    "{% if m.role == 'assistant' %}{{ '<|channel|>final' }}{% endif %}"
    "{{ '<|message|>' + m.content + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant<|channel|>final<|message|>' }}{% endif %}"
)
QWEN_3 = (
    "{% for m in messages %}{% set content = m.content %}{% if m.role == 'assistant' %}"
    "{% if '</think>' in content %}{% set content = content.split('</think>')[-1].lstrip('\\n') %}"
    "{% endif %}{% endif %}{{ '<|im_start|>' + m.role + '\\n' + content + '<|im_end|>\\n' }}"
    "{% endfor %}{{ '<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n' }}"
)
JSON = (
    "{% for m in messages %}{{ '<|im_start|>' + {'role': m.role, 'text': m.content} | tojson }}"
    "{{ '<|im_end|>\\n' }}{% endfor %}{{ '<|im_start|>' }}"
)


@dataclass(frozen=True)
class Family:
    """A template, and the tokens of its family."""

    template: str
    tokens: tuple[str, ...]


FAMILIES = {
    "ChatML": Family(CHATML, ("<|im_start|>", "<|im_end|>", "<|endoftext|>")),
    "Qwen 3": Family(QWEN_3, ("<|im_start|>", "<|im_end|>", "<think>", "</think>")),
    "Llama 2": Family(LLAMA_2, ("<s>", "</s>")),
    "Llama 3": Family(
        LLAMA_3,
        ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    ),
    "Gemma": Family(GEMMA, ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>")),
    "Phi": Family(PHI, ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")),
    "Mistral": Family(MISTRAL, ("[INST]", "[/INST]", "<s>", "</s>")),
    "DeepSeek": Family(
        DEEPSEEK,
        (
            *("<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>"),
            *("<\uff5cend\u2581of\u2581sentence\uff5c>", "</think>"),
        ),
    ),
    "Command R": Family(
        COMMAND_R,
        (
            *("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|USER_TOKEN|>"),
            *("<|SYSTEM_TOKEN|>", "<|CHATBOT_TOKEN|>"),
        ),
    ),
    "harmony": Family(
        HARMONY, ("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>", "<|call|>")
    ),
    "JSON": Family(JSON, ("<|im_start|>", "<|im_end|>")),
}

_THOUGHTS = ("<think>", "</think>")
# A token that is a piece of text, as some vocabularies have for HTML.
PIECE = "<table>"

SPECIAL = [
    *((token, CONTROL) for f in FAMILIES.values() for token in f.tokens if token not in _THOUGHTS),
    *((token, USER_DEFINED) for token in (*_THOUGHTS, PIECE)),
    # Letters alone, which pieces can be merged into.
    ("EOS", CONTROL),
]
SPECIAL = list(dict.fromkeys(SPECIAL))
