"""Uses of the Text Completions API in other languages and in configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Final

from tenuto.migrate.bedrock_calls import (
    bedrock_call,
    bedrock_requests,
    far_bedrock_calls,
    pending_bedrock_calls,
)
from tenuto.migrate.clients import calls_of_clients
from tenuto.migrate.doubles import answers, is_test
from tenuto.migrate.evidence import (
    fields_beside,
    is_about,
    is_elsewhere,
    is_endpoint,
    is_in_its_block,
    is_prompt_of_it,
    names_other_models,
    names_vendor,
)
from tenuto.migrate.fields import LIMIT, SNAKE, fields, is_prose, paths, responses
from tenuto.migrate.findings import BEDROCK_MESSAGES, DOUBLES, MESSAGES, Finding, Hardness
from tenuto.migrate.language_kinds import CONFIG, JS_SDK, LANGUAGES, Language
from tenuto.migrate.lexing import arguments, places, without_comments
from tenuto.migrate.prompt_literals import prompts
from tenuto.migrate.requests import far_requests
from tenuto.migrate.shapes import constants, response_types, responses_read
from tenuto.migrate.turns import first_of_file

_ADDRESS: Final = re.compile(r"\bv1/complete(?![\w/-])")
_NEW_MODEL: Final = re.compile(r"claude-(?:3|(?:haiku|sonnet|opus|fable|mythos)-\d)")
_OLD_MODEL: Final = re.compile(r"claude-(?:v?[12]\b|v?[12]\.|instant)")
_BEDROCK: Final = re.compile(r"bedrock|InvokeModel", re.IGNORECASE)
_CHAT_ALIAS: Final = re.compile(r"new\s+ChatAnthropic\s*\(")
_CONSTANT: Final = re.compile(r"\b(?:HUMAN_PROMPT|AI_PROMPT)\b")
_RECEIVER: Final = re.compile(r"[\w.]+\Z")
_JS_TYPE: Final = re.compile(
    r"@anthropic-ai/sdk/resources/completions|"
    r"\bAnthropic\.Completion(?:s|CreateParams\w*)?\b(?!\[[\"']model)"
)
_DOUBLE: Final = re.compile(
    r"\bcompletions\s*:\s*\{\s*create\s*:\s*(?:(?:jest|vi|sinon)\b|mock|(?:async\s*)?\()|"
    r"(?<!\.chat)\.completions\.create\s*=\s*(?:(?:jest|vi|sinon)\b|mock)"
)
# The function of a library of Vercel.
_BUILDER: Final = re.compile(r"\b(?:experimental_)?buildAnthropicPrompt\b")
_OWN_CONSTANT: Final = re.compile(
    r"\bimport\s*\{[^{}]{0,300}\b(?:HUMAN|AI)_PROMPT\b[^{}]{0,300}\}\s*from\b"
)
_JAVA_ANSWER: Final = re.compile(r"(?<![\w.])Completion\s*\.\s*builder\s*\(\s*\)")
_CHAT: Final = re.compile(r"\bchat\s*:\s*\{\s*\Z")
_EVENT: Final = re.compile(r'"type\\*"\s*:\s*\\*"completion\\*"')
_LITELLM: Final = re.compile(r"anthropic_text/")
_PROMPTFOO: Final = re.compile(r"\banthropic:completion:\w")
_STOP: Final = re.compile(r'"stop_reason\\*"\s*:')
_PROMPT: Final = ("TC104", "a prompt with the marks of turns", "roles in `messages`")
_PROMPT_FIELD: Final = re.compile(r"\"prompt\"\s*:")
# A search for the names of the old API in sources.
_SEARCH: Final = re.compile(r"\b(?:[ef]?grep|rg|ack|ag)\s")
_SETTER: Final = re.compile(r"[pP]rompt\w*\(\s*\Z")
_ASSIGNMENT: Final = re.compile(
    r"\s*(?:export\s+)?(?:(?:const|let|var|val|final|local|my|our|static|auto|string|String|def)\s+){0,3}"
    r"[$@]?[\w.]+\s*(?::\s*\w+\s*)?(?::=|\+?=|<-|\.=)(?![=>])"
)
_PROMPT_NAME: Final = re.compile(r"\bprompt\b")
_NEAR_LINES: Final = 2
_NEAR: Final = 2_000
# Not test doubles or recorded responses alone.
_CERTAIN: Final = re.compile(r"TC4\d\d")
_MINIFIED: Final = 1_000
"""Characters of a line, on average."""
_BEDROCK_CALL: Final = ("TC402", "a call of a model with old answers", BEDROCK_MESSAGES)
_REQUEST: Final = ("TC401", "a request to the old endpoint", "`/v1/messages`")
_ENDPOINT: Final = "the address of the old endpoint"
_FIELD: Final = ("a field of the old API", MESSAGES)
_RESPONSE: Final = ("a response of the old API", MESSAGES)
_DOUBLED: Final = ("TC501", "a test double has an old response", DOUBLES)
_LIBRARY: Final = "the Messages API in this library, or in the official one of Anthropic"


def findings(text: str, path: str, kind: str) -> list[Finding]:
    """Return the findings of a file.

    Args:
        text: The file.
        path: Its name for the findings.
        kind: A key of `LANGUAGES`.
    """
    language = LANGUAGES[kind]
    if _is_minified(text, language):
        return []
    code = without_comments(text, language.comments)
    found: dict[int, Finding] = {}
    about = is_about(text, path)

    def add(finding: Finding) -> None:
        found.setdefault(finding.line, finding)

    covered: list[tuple[int, int]] = []
    addresses = []
    for offset, number, message, remedy in _found(code, path, kind, covered, about=about):
        add(_finding(text, path, offset, number, message, remedy))
        if message == _ENDPOINT:
            addresses.append(offset)
    # In data, they are recorded ones.
    uses = any(_CERTAIN.fullmatch(each.code) for each in found.values())
    if language.comments != "none" and not uses and (call := bedrock_call(code)) is not None:
        uses = True
        add(_finding(text, path, call, *_BEDROCK_CALL))
    if language.comments == "none" or not uses:
        return sorted(found.values())
    for offset in far_bedrock_calls(code, path, found):
        add(_finding(text, path, offset, *_BEDROCK_CALL))
    for offset in () if is_test(path) else far_requests(code, addresses, found):
        add(_finding(text, path, offset, *_REQUEST))
    if about:
        for offset in response_types(code, language.kind, alone=True):
            add(_finding(text, path, offset, language.client, *_RESPONSE))
    # The prompt of a body is a line near its other fields.
    reported = {line + near for line in found for near in range(-_NEAR_LINES, _NEAR_LINES + 1)}
    for start, offset in prompts(code, path, _style(kind), covered):
        line = text.count("\n", 0, offset) + 1
        near = line in found or (line in reported and not _is_a_statement(code, start))
        if not near and not any(map(LIMIT.search, fields_beside(code, start))):
            add(_finding(text, path, offset, *_PROMPT))
    return sorted(found.values())


def pending(text: str, path: str, kind: str) -> list[Finding]:
    """Return what counts if the project of a file has a use, and the file has none.

    That are exact prompts, bodies in data and in files that do not name the vendor, calls on
    Bedrock of old models or whose old answer is read, answers in tests, and types of responses in
    a file with the vendor's name.
    """
    language = LANGUAGES[kind]
    if _is_minified(text, language):
        return []
    code = without_comments(text, language.comments)
    literals = prompts(code, path, _style(kind), [], alone=True)
    found = [_finding(text, path, offset, *_PROMPT) for _, offset in literals]
    data = language.comments == "none"
    if data or not (is_about(text, path) or names_other_models(code)):
        is_prompt = _PROMPT_FIELD.match if data else _PROMPT_NAME.search
        found += [
            _finding(text, path, match.start(), language.client, *_FIELD)
            for match in fields(code, path, language.kind)
            if match[0] == SNAKE and any(map(is_prompt, fields_beside(code, match.start())))
        ]
    if data:
        return found
    found += [
        _finding(text, path, offset, *_BEDROCK_CALL) for offset in pending_bedrock_calls(code)
    ]
    if is_test(path):
        found += [_finding(text, path, offset, *_DOUBLED) for offset in answers(code, path)]
    if names_vendor(code, path):
        found += [
            _finding(text, path, offset, language.client, *_RESPONSE)
            for offset in response_types(code, language.kind, alone=True)
        ]
    return found


def pending_text(text: str, path: str) -> list[Finding]:
    """Return the prompt that a text without a syntax is, which counts as others in `pending` do."""
    offset = first_of_file(text)
    if offset is None or not is_prompt_of_it(text, 0, len(text), path, exact=True, alone=True):
        return []
    return [_finding(text, path, offset, *_PROMPT)]


def _is_a_statement(code: str, start: int) -> bool:
    """Return whether a text is the value of a variable, or the last line of a statement.

    It is not one if it is a field of a body.
    """
    before = code[max(code.rfind("\n", 0, start) + 1, start - _NEAR) : start]
    line = code[start : start + _NEAR].partition("\n")[0].rstrip()
    if _SETTER.search(before):
        return False
    return line.endswith(";") or (_ASSIGNMENT.match(before) is not None and not line.endswith(","))


def _is_minified(text: str, language: Language) -> bool:
    """Return whether a file is made from sources, which have the findings."""
    return language.client == "TC407" and len(text) > _MINIFIED * (text.count("\n") + 1)


def _finding(text: str, path: str, offset: int, number: str, message: str, remedy: str) -> Finding:
    line = text.count("\n", 0, offset) + 1
    column = offset - text.rfind("\n", 0, offset)
    return Finding(path, 0, line, column, number, Hardness.BY_HAND, message, remedy)


def _style(kind: str) -> str:
    """Return the style of the literals of a file."""
    if LANGUAGES[kind] is CONFIG:
        return "entries"
    return kind if kind == "rs" else LANGUAGES[kind].comments


def _found(
    code: str, path: str, kind: str, covered: list[tuple[int, int]], *, about: bool
) -> Iterator[tuple[int, str, str, str]]:
    """Yield the offset, code, message and remedy of each use; add the calls to `covered`."""
    language = LANGUAGES[kind]
    reach = 0
    calls = [
        *((*call, language.remedy) for call in _calls(code, language)),
        *((*call, _LIBRARY) for call in calls_of_clients(code, kind)),
    ]
    for start, end, remedy in sorted(calls, key=itemgetter(0)):
        if start >= reach:
            reach = end
            covered.append((start, end))
            yield start, language.client, "call of the Text Completions API", remedy
    covered += [
        (call.start(), call.end() + len(arguments(code, call.end() - 1)))
        for call in places(_CHAT_ALIAS, code)
    ]
    bedrock = _BEDROCK.search(code) is not None
    data = language.comments == "none"

    def is_new(offset: int) -> bool:
        line = max(code.rfind("\n", 0, offset) + 1, offset - _NEAR)
        if language.comments == "hash" and _SEARCH.search(code, line, offset):
            return False
        return not any(start <= offset < end for start, end in covered)

    for match in places(_ADDRESS, code):
        if data and is_prose(code, match.start()):
            continue
        if not (about and is_endpoint(code, match.start())):
            continue
        if is_new(match.start()):
            number = "TC403" if language.client == "TC403" else "TC401"
            yield match.start(), number, _ENDPOINT, "`/v1/messages`"
    for offset in paths(code, path):
        yield offset, "TC401", _ENDPOINT, "`/v1/messages`"
    for offset in bedrock_requests(code):
        if is_new(offset) and not (data and is_prose(code, offset)):
            yield offset, "TC402", "a request to an old model on Bedrock", BEDROCK_MESSAGES
    settings = language.client == "TC403" and _is_of_new_models(code)
    for match in fields(code, path, language.kind) if about and not settings else ():
        if is_new(match.start()):
            number = "TC402" if bedrock else language.client
            if match[0] == SNAKE and number in ("TC407", "TC408", "TC409", "TC410"):
                number = "TC401"
            yield match.start(), number, *_FIELD
    if about and language.comments != "none":
        for offset in response_types(code, language.kind):
            yield offset, language.client, *_RESPONSE
        for offset in responses_read(code, path):
            yield offset, language.client, "a response of the old API is read", MESSAGES
        if language.client != "TC407":
            for offset in constants(code):
                if is_new(offset):
                    yield offset, "TC104", "a prompt constant", "roles in `messages`"
        made = (language.client, "a response of the old API is made", MESSAGES)
        number, message, remedy = _DOUBLED if is_test(path) else made
        for offset in answers(code, path):
            yield offset, number, message, remedy
    yield from _names(code, path, language, covered)


def _is_of_new_models(code: str) -> bool:
    """Return whether a file of settings names models of the Messages API alone."""
    return _NEW_MODEL.search(code) is not None and _OLD_MODEL.search(code) is None


def _calls(code: str, language: Language) -> Iterator[tuple[int, int]]:
    if language.method is None:
        return
    library = language.library is not None and language.library.search(code) is not None
    openai = re.search(r"[\"'/]openai[\"'/-]", code) is not None
    for match in places(language.method, code):
        given = arguments(code, match.end())
        certain = (LIMIT.search(given) or _CONSTANT.search(given)) is not None
        receiver = _RECEIVER.search(code, max(0, match.start() - 80), match.start())
        other = openai or (receiver is not None and "openai" in receiver[0].lower())
        plain = "completions" in match[0].lower() or (
            language.client == "TC407" and re.search(r"\bprompt\b", given) is not None
        )
        if certain and is_elsewhere(code, match.start()):
            continue
        if re.search(r"\bmessages\b", given) and not certain:
            continue
        before = code[max(0, match.start() - 40) : match.start()].lower()
        ours = "openai" not in before and is_in_its_block(code, match.start())
        named = library and plain and (ours or not other)
        if certain or named:
            yield match.start(), match.end() + len(given)


def _is_doubled(code: str, match: re.Match[str]) -> bool:
    """Return whether a double is of this vendor, in a file that may have one of OpenAI."""
    if "nthropic" not in code:
        return False
    near = code[max(0, match.start() - 300) : match.end()]
    return "openai" not in code.lower() or "nthropic" in near


def _own_constants(code: str, path: str) -> Iterator[re.Match[str]]:
    """Yield the imports of constants for turns that a library of this vendor has."""
    if names_vendor(code, path) and not JS_SDK.search(code):
        yield from places(_OWN_CONSTANT, code)


def _names(
    code: str, path: str, language: Language, covered: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, str, str, str]]:
    for match in places(_LITELLM, code):
        yield match.start(), "TC406", "LiteLLM's old provider", "the model `anthropic/…`"
    for match in places(_PROMPTFOO, code):
        yield match.start(), "TC403", "promptfoo's old provider", "`anthropic:messages:…`"
    if language.client == "TC409" and "com.anthropic" in code:
        for match in places(_JAVA_ANSWER, code):
            yield match.start(), "TC501", "a response of the old API is made", DOUBLES
    if language.client == "TC407":
        for match in places(_JS_TYPE, code):
            yield match.start(), "TC105", "a type that the SDK has lost", "`Anthropic.Message`"
        for match in places(_DOUBLE, code):
            chat = _CHAT.search(code, max(0, match.start() - 80), match.start())
            if not chat and _is_doubled(code, match):
                yield match.start(), "TC501", "a test double of the old API", DOUBLES
        for match in (*islice(places(_BUILDER, code), 1), *_own_constants(code, path)):
            yield match.start(), "TC104", "a prompt of the old API", "roles in `messages`"
        if JS_SDK.search(code):
            for match in places(_CONSTANT, code):
                if not any(start <= match.start() < end for start, end in covered):
                    yield match.start(), "TC104", "a prompt constant", "roles in `messages`"
    if language.comments == "none":
        for match in places(_EVENT, code):
            if is_prose(code, match.start()) or not _STOP.search(code):
                continue
            yield match.start(), "TC502", "a recorded response of the old API", "record it again"
        for offset in responses(code):
            yield offset, "TC502", "a recorded response of the old API", "record it again"
