"""Classes and functions of LangChain, LlamaIndex and LiteLLM that speak the old API."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Final

from tenuto.migrate.evidence import OLD_ON_BEDROCK
from tenuto.migrate.fields import SNAKE
from tenuto.migrate.python.destination import texts_of
from tenuto.migrate.python.origins import Origins

_CLASSES: Final = (
    (re.compile(r"langchain(?:_community)?\.llms(?:\.anthropic)?\.Anthropic(?:LLM)?"), "TC404"),
    (re.compile(r"langchain\.Anthropic"), "TC404"),
    # Not the class of `langchain_anthropic`, which has the same name.
    (re.compile(r"langchain(?:_community)?\.chat_models(?:\.anthropic)?\.ChatAnthropic"), "TC404"),
    (re.compile(r"langchain_anthropic(?:\.llms)?\.Anthropic(?:LLM)?"), "TC404"),
    (re.compile(r"llama_index\.llms\.Anthropic"), "TC405"),
)
_BEDROCK_MODELS: Final = re.compile(
    r"langchain\w*\.(?:llms\.|chat_models\.)?(?:bedrock\.)?(?:Bedrock(?:LLM|Chat)?|ChatBedrock)"
)
_LITELLM: Final = re.compile(r"litellm\.a?(?:text_)?completion")
_LITELLM_OWN: Final = re.compile(
    r"litellm(?:\.[\w.()]+)?\.(?:a?(?:text_)?completion|Anthropic\w*Config|AmazonAnthropicConfig)"
)
_LITELLM_MODEL: Final = re.compile(rf"bedrock/{OLD_ON_BEDROCK}")
_BEDROCK_NAME: Final = re.compile(OLD_ON_BEDROCK)


def framework_of(path: str) -> str | None:
    """Return the code of a class that calls the Text Completions API, by its path, or None."""
    return next((code for pattern, code in _CLASSES if pattern.fullmatch(path)), None)


def framework_call(
    node: ast.Call, paths: Iterable[str], origins: Origins
) -> tuple[str, str] | None:
    """Return the code and the message of a call of a framework, or None.

    Args:
        node: The call.
        paths: The paths of what it calls.
        origins: The origins of its source.
    """
    for path in sorted(paths):
        if _LITELLM.fullmatch(path) and any(map(_LITELLM_MODEL.match, texts_of(node, origins))):
            return "TC406", "LiteLLM sends the old body to this model"
        if _LITELLM_OWN.fullmatch(path) and any(k.arg == SNAKE for k in node.keywords):
            return "TC406", "LiteLLM gets a parameter of the old API"
        if code := framework_of(path):
            return code, "the class calls the Text Completions API"
        if _BEDROCK_MODELS.fullmatch(path):
            # Classes of chats send these models messages in their later versions.
            named = any(_BEDROCK_NAME.search(text) for text in texts_of(node, origins))
            if _has_limit(node) or (not is_chat(path) and (named or _may_be_old(node, origins))):
                return "TC404", "the class sends the old body for this model"
    return None


def is_chat(path: str) -> bool:
    """Return whether a class has an alias of this name, and calls the Messages API."""
    return "Chat" in path.rpartition(".")[2] or path.startswith("llama_index.llms.anthropic")


def _has_limit(node: ast.Call) -> bool:
    """Return whether an argument, or a key in one, is the limit of the old body."""
    return any(
        (isinstance(each, ast.keyword) and each.arg == SNAKE)
        or (isinstance(each, ast.Constant) and each.value == SNAKE)
        for each in ast.walk(node)
    )


def _may_be_old(node: ast.Call, origins: Origins) -> bool:
    """Return whether a model that is not known here gets parameters, and the file has old ones."""
    text = origins.source.text
    if not (SNAKE in text and _BEDROCK_NAME.search(text)):
        return False
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    if not isinstance(given.get("model_kwargs"), ast.Name | ast.Call):
        return False
    return not any(
        isinstance(value, ast.Constant) for value in map(given.get, ("model", "model_id"))
    )
