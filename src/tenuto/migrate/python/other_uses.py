"""Uses of the old API that are no calls of the SDK: HTTP, Bedrock, frameworks, test doubles."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from itertools import islice
from typing import Final

from tenuto.migrate.doubles import is_test
from tenuto.migrate.evidence import (
    MARKS,
    is_about,
    is_elsewhere,
    is_endpoint,
    names_other_models,
    names_vendor,
)
from tenuto.migrate.fields import SNAKE
from tenuto.migrate.findings import BEDROCK_MESSAGES, DOUBLES, MESSAGES, Hardness
from tenuto.migrate.python.bedrock_bodies import bodies_with_parameters, calls_apart
from tenuto.migrate.python.destination import is_for_another
from tenuto.migrate.python.frameworks import framework_call, framework_of, is_chat
from tenuto.migrate.python.mocked_answers import (
    ANSWER_FIELDS,
    is_mocked_answer,
    is_mocked_attribute,
    is_mocked_object,
    is_mocked_text,
)
from tenuto.migrate.python.mocked_methods import double_of_method, fakes, replaces
from tenuto.migrate.python.origins import Origins
from tenuto.migrate.python.plan import Note
from tenuto.migrate.python.source import Source

ADDRESS: Final = re.compile(r"\bv1/complete(?![\w/-])")
# In JSON, or among the arguments of a function of SQL.
_BODY: Final = re.compile(r"""["']max_tokens_to_sample\\?["']\s*:|'max_tokens_to_sample'\s*,""")
_MODULE: Final = re.compile(
    r"(?:<class ')?anthropic\.resources\.completions(?:\.\w+)*(?:'>)?|"
    r"(?:anthropic\.)?resources\.(?:completions\.)?(?:Async)?Completions\.create|"
    r"anthropic\.completions\.create"
)
_RESPONSE: Final = re.compile(
    r"\{\s*(?:[\"']type[\"']\s*:\s*[\"']completion[\"'],\s*)?[\"']completion[\"']\s*:.*[\"']stop_reason[\"']\s*:",
    re.DOTALL,
)
_COMPLETION: Final = re.compile(r"anthropic(?:\.types(?:\.completion)?)?\.Completion")
_PATCHED: Final = re.compile(
    r"anthropic\.resources\.completions|anthropic[\w.]*\.completions\.|"
    r"^(?!.*openai).*\b(?:Async)?Completions\.create$"
)
# The path of the endpoint below an address that is elsewhere, in a client of the API.
_PATH: Final = re.compile(r"/complete")
_CLIENT: Final = re.compile(r"max_tokens_to_sample|anthropic-version|api\.anthropic\.com|x-api-key")
_BEDROCK_SDK: Final = "anthropic_bedrock"
# Codes of findings by words alone, which also need evidence of the API.
_WORDS: Final = {"TC103", "TC401", "TC402", "TC404", "TC501"}
_TEST: Final = re.compile(r"(?:^|[/\\])(?:tests?[/\\]|(?:test_|conftest)[^/\\]*\Z|[^/\\]*_test\.)")
_OTHER_LIMITS: Final = {"maxTokens", "maxTokenCount", "max_gen_len", "max_new_tokens"}
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_SYSTEM: Final = {"system", "system_message", "system_prompt"}
_OF_CLASS: Final = re.compile(
    r"anthropic\.(?:Async)?(?:Client|Anthropic)\.a?completion(?:_stream)?"
)
_SDK_CLIENT: Final = re.compile(r"anthropic\.(?:Async)?(?:Anthropic|Client)\(\)")
_REQUEST: Final = {"prompt", "stop_sequences", "top_k", "top_p"}
_VENDOR: Final = re.compile(r"(?i:anthropic)|Human:")
_MOST_ENDPOINTS: Final = 20
_ENDPOINT: Final = "the address of the old endpoint"
_PROSE: Final = re.compile(r"(?!\s*(?:[\[{]|[A-Z]+ \S+\Z))[^\n]*\S\s")
_REMEDIES: Final = {
    "TC404": "`ChatAnthropic` of the package `langchain-anthropic`",
    "TC405": "`llama_index.llms.anthropic.Anthropic` from 0.10 on, which calls the Messages API",
    "TC406": "the model `anthropic/…`, which calls the Messages API",
    "TC104": "roles in `messages`",
    "TC105": "`AnthropicBedrock().messages.create` of the package `anthropic[bedrock]`",
    "TC401": MESSAGES,
    "TC402": BEDROCK_MESSAGES,
    "TC501": DOUBLES,
}


def other_uses(origins: Origins, calls: Sequence[ast.Call]) -> Iterator[Note]:
    """Yield the notes of all such uses.

    Args:
        origins: The origins of a source.
        calls: Calls that have notes of their own.
    """
    covered = covered_by(origins, calls)
    bedrock = re.search(r"bedrock|invoke_model", origins.source.text, re.IGNORECASE) is not None
    found = list[Note]()
    for node in origins.source.nodes:
        if id(node) in covered or _is_docstring(node, origins):
            continue
        found += [
            note
            for note in _of_node(node, origins, bedrock=bedrock)
            if note.code not in _WORDS or _is_meant(note, origins)
        ]
    for body in bodies_with_parameters(origins, found):
        note = _by_hand(body, "TC402", "an old body, of which parts are made elsewhere")
        if _is_meant(note, origins):
            found.append(note)
    found += _requests_apart(origins, found, calls)
    for call in calls_apart(origins, found):
        found.append(_by_hand(call, "TC402", "a call of a model with old answers"))
    yield from found


def pending_bodies(source: Source) -> Iterator[Note]:
    """Yield the bodies in a source that does not speak of the API."""
    if SNAKE not in source.text or is_about(source.text, source.around.path):
        return
    if names_other_models(source.text):
        return
    for node in source.nodes:
        if isinstance(node, ast.Dict):
            names = {key.value for key in node.keys if isinstance(key, ast.Constant)}
            if not {SNAKE, "prompt"} <= names or "messages" in names:
                continue
            if not is_elsewhere(source.text, source.start(node)):
                yield _by_hand(node, "TC401", "the body of a request has the old fields")


def _requests_apart(
    origins: Origins, found: Sequence[Note], calls: Sequence[ast.Call]
) -> list[Note]:
    """Return the uses of a name for the endpoint in functions without another use."""
    source = origins.source
    if is_test(source.around.path):
        return []
    known = {source.function(node) for node in (*(note.node for note in found), *calls)}
    apart = []
    for note in islice((note for note in found if note.message == _ENDPOINT), _MOST_ENDPOINTS):
        match source.parents.get(note.node):
            case ast.Assign(targets=[ast.Name(id=name) as target]):
                pass
            case _:
                continue
        for load in origins.scopes.loads(name, target):
            place = source.function(load)
            if place is not None and place not in known:
                known.add(place)
                apart.append(_by_hand(load, "TC401", "a request to the old endpoint"))
    return apart


def covered_by(origins: Origins, calls: Sequence[ast.Call]) -> set[int]:
    """Return the ids of the nodes of calls, and of the dicts that they unpack."""
    covered = {id(node) for call in calls for node in ast.walk(call)}
    for call in calls:
        for keyword in call.keywords:
            if keyword.arg is None:
                covered |= _display(keyword.value, origins)
                if isinstance(keyword.value, ast.Name):
                    covered |= _set_in(keyword.value.id, origins)
    return covered


def _set_in(name: str, origins: Origins) -> set[int]:
    """Return the ids of the values that statements such as `body["prompt"] = …` set."""
    return {
        id(each)
        for node in origins.source.nodes
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Subscript)
        and isinstance(node.targets[0].value, ast.Name)
        and node.targets[0].value.id == name
        for each in ast.walk(node.value)
    }


def _is_meant(note: Note, origins: Origins) -> bool:
    """Return whether a place with the words of the API means it."""
    source = origins.source
    if note.code == "TC404" or isinstance(note.node, ast.Dict):
        if isinstance(note.node, ast.expr) and is_for_another(note.node, origins):
            return False
        if note.code == "TC404":
            return True
    return is_about(source.text, source.around.path) and not is_elsewhere(
        source.text, source.start(note.node)
    )


def _display(node: ast.expr, origins: Origins) -> set[int]:
    bound = (
        [b.node for b in origins.scopes.all_bindings(node.id, node)]
        if isinstance(node, ast.Name)
        else [node]
    )
    return {id(each) for value in bound for each in ast.walk(value)}


def _is_docstring(node: ast.AST, origins: Origins) -> bool:
    return isinstance(node, ast.Constant) and isinstance(origins.source.parents[node], ast.Expr)


def _of_node(node: ast.AST, origins: Origins, *, bedrock: bool) -> Iterator[Note]:
    body = "TC402" if bedrock else "TC401"
    match node:
        case ast.Dict(keys=keys, values=values):
            # A limit is a number: a text beside it is its name for another service.
            names = {
                key.value
                for key, value in zip(keys, values, strict=True)
                if isinstance(key, ast.Constant) and not (key.value == SNAKE and _is_text(value))
            }
            if "messages" in names or _is_of_several_vendors(names):
                return
            if SNAKE in names and "prompt" in names:
                yield _by_hand(node, body, "the body of a request has the old fields")
            elif SNAKE in names:
                yield _by_hand(node, body, "a dict has fields of the old API")
            elif {"completion", "stop_reason"} <= names and _is_served(node, origins):
                yield _by_hand(node, "TC401", "a response of the old API is made")
            elif (
                {"completion", "stop_reason"} <= names
                and (_TEST.search(origins.source.around.path) or not _is_passed_on(node))
            ) or is_mocked_answer(node, origins):
                yield _by_hand(node, "TC501", "a dict has the fields of an old response")
        case ast.Name(id="HUMAN_PROMPT" | "AI_PROMPT" as name, ctx=ast.Load()):
            if f"{_BEDROCK_SDK}.{name}" in origins.paths(node):
                yield _by_hand(node, "TC104", "the package has the Text Completions API alone")
        case ast.ImportFrom(module=str(module)):
            yield from _of_import(node, module, origins)
        case ast.Call():
            yield from _of_call(node, origins, body)
            if replaces(node, origins):
                yield _by_hand(node, "TC501", "the resource of the old API is replaced")
        case ast.FunctionDef(name="create") | ast.AsyncFunctionDef(name="create"):
            names = {a.arg for a in (*node.args.args, *node.args.kwonlyargs)}
            if {SNAKE, "prompt"} <= names and fakes(node, origins):
                yield _by_hand(node, "TC501", "a test double has the method of the old API")
        case ast.Constant(value=bytes(data)):
            yield from _of_json(node, data.decode("utf-8", "replace"), body)
        case ast.Constant(value=str(text)):
            if not isinstance(origins.source.parents[node], ast.JoinedStr):
                yield from _of_text(node, text, origins, body)
        case ast.JoinedStr():
            yield from _of_text(node, _plain(node), origins, body)
        case ast.ClassDef(body=statements):
            paths = {path for base in node.bases for path in origins.paths(base)}
            if number := next(filter(None, map(framework_of, sorted(paths))), None):
                yield _by_hand(node, number, "the class calls the Text Completions API")
            fields = {
                each.target.id: each
                for each in statements
                if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
            }
            if SNAKE in fields and ("prompt" in fields or names_vendor(node.name)):
                yield _by_hand(fields[SNAKE], body, "a class describes a request of the old API")
            elif _is_answer(set(fields)) and names_vendor(
                origins.source.text, origins.source.around.path
            ):
                place = fields["completion"]
                yield _by_hand(place, body, "a class describes a response of the old API")
        case ast.Subscript(slice=ast.Constant(value=str(key)), ctx=ast.Store()) if key == SNAKE:
            yield _by_hand(node, body, "a field of the old API is set")
        case ast.Attribute(attr="completion") if is_mocked_attribute(node, origins):
            yield _by_hand(node, "TC501", "a test double has an old response")
        case ast.Attribute(attr="create", value=ast.Attribute(attr="completions", value=owner)):
            if message := double_of_method(node, owner, origins):
                yield _by_hand(node, "TC501", message)
        case _:
            pass


def _plain(node: ast.JoinedStr) -> str:
    """Return an f-string with `{}` between its texts."""
    return "{}".join(str(each.value) for each in node.values if isinstance(each, ast.Constant))


def _of_import(node: ast.ImportFrom, module: str, origins: Origins) -> Iterator[Note]:
    for alias in node.names:
        if number := framework_of(f"{module}.{alias.name}"):
            yield _by_hand(node, number, "the class has another module in newer versions")
            return
    if module.partition(".")[0] != _BEDROCK_SDK:
        return
    names = {alias.asname or alias.name for alias in node.names}
    loaded = any(isinstance(e, ast.Name) and e.id in names for e in origins.source.nodes)
    if loaded or "*" in names:
        yield _by_hand(node, "TC105", "the package has the Text Completions API alone")


def _of_call(node: ast.Call, origins: Origins, body: str) -> Iterator[Note]:
    paths = origins.paths(node.func)
    names = {keyword.arg for keyword in node.keywords}
    for path in sorted(paths):
        if path.startswith(f"{_BEDROCK_SDK}.") and path.endswith(".completions.create"):
            yield _by_hand(node, "TC105", "call of the Text Completions API on Bedrock")
            return
        if _COMPLETION.fullmatch(path):
            yield _by_hand(node, "TC501", "a response of the old API is made")
            return
    if any(map(_OF_CLASS.fullmatch, paths)):
        yield _by_hand(node, "TC103", "a method of the old API is called on the class")
        return
    if (found := framework_call(node, paths, origins)) is not None:
        yield _by_hand(node, *found)
        return
    if is_mocked_object(node, origins):
        yield _by_hand(node, "TC501", "a test double has an old response")
        return
    if SNAKE not in names or "messages" in names or any(map(is_chat, paths)):
        return
    if any(path == "<dict>" for path in paths):
        if _is_of_several_vendors(names):
            return
        yield _by_hand(node, body, "a dict has fields of the old API")
    elif isinstance(node.func, ast.Attribute) and node.func.attr.startswith("assert_"):
        yield _by_hand(node, "TC501", "a test expects arguments of the old API")
    elif _is_in_a_block_of_it(node, origins):
        yield _by_hand(node, "TC103", "an argument of the old API is passed to another function")
    elif names & _REQUEST and (
        _gets_client(node, origins) or (_speaks_of_it(node, origins) and not _is_own(node, origins))
    ):
        yield _by_hand(node, "TC103", "arguments of the old API are passed to another function")


def _is_in_a_block_of_it(node: ast.Call, origins: Origins) -> bool:
    """Return whether a condition around a call, such as `"claude" in model`, names the vendor."""
    for parent in origins.source.ancestors(node):
        if isinstance(parent, _FUNCTIONS):
            return False
        if isinstance(parent, ast.If) and names_vendor(ast.unparse(parent.test)):
            return not _is_own(node, origins)
    return False


def _is_of_several_vendors(names: Set[object]) -> bool:
    """Return whether names are settings for all vendors: this API has no field for the system."""
    return SNAKE in names and "prompt" not in names and bool(names & _SYSTEM)


def _speaks_of_it(node: ast.Call, origins: Origins) -> bool:
    """Return whether the file, or the name of the function, has what this API alone has."""
    paths = origins.paths(node.func)
    return MARKS.search(origins.source.text) is not None or any(map(_VENDOR.search, paths))


def _gets_client(node: ast.Call, origins: Origins) -> bool:
    """Return whether a function gets a client of the SDK, and so may pass all arguments to it."""
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    return any(_SDK_CLIENT.fullmatch(path) for each in given for path in origins.paths(each))


def _is_own(node: ast.Call, origins: Origins) -> bool:
    """Return whether a function of this project has the old name as a parameter of its own.

    The module that defines the function has the findings.
    """
    is_own = origins.source.around.is_own
    if any(path.startswith(".") or is_own(path) for path in origins.paths(node.func)):
        return True
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            pass
        case _:
            return False
    return any(
        SNAKE in {argument.arg for argument in (*f.args.args, *f.args.kwonlyargs)}
        for f in origins.source.nodes
        if isinstance(f, _FUNCTIONS) and f.name == name
    )


def _of_text(node: ast.expr, text: str, origins: Origins, body: str) -> Iterator[Note]:
    parent = origins.source.parents[node]
    if (
        _has_endpoint(text, node, origins)
        or (_PATH.fullmatch(text) and _is_client(origins))
        or (text == "complete" and _is_path(parent) and _is_client(origins))
    ):
        yield _by_hand(node, "TC401", _ENDPOINT)
    elif _BODY.search(text) or _RESPONSE.search(text):
        for note in _of_json(node, text, body):
            yield replace(note, offset=_offset_in(node, origins.source))
    elif is_mocked_text(text, origins):
        yield _by_hand(node, "TC501", "a JSON text has the fields of an old response")
    elif framework_of(text):
        yield _by_hand(node, "TC404", "the class calls the Text Completions API")
    elif text.startswith("anthropic_text/"):
        yield _by_hand(node, "TC406", "LiteLLM sends this model to the Text Completions API")
    elif re.match(r"anthropic:completion:\w", text):
        yield Note(
            *(node, "TC403", Hardness.BY_HAND, "promptfoo's provider of the old API"),
            "`anthropic:messages:…`",
        )
    elif text == SNAKE and (
        (isinstance(parent, ast.Assign) and parent.value is node)
        or (_is_name(node, parent) and _VENDOR.search(origins.source.text))
    ):
        yield _by_hand(node, body, "the name of a field of the old API")
    elif text == SNAKE and _reads(node, parent, origins) and _VENDOR.search(origins.source.text):
        yield _by_hand(node, body, "a field of the old API is read")
    elif _MODULE.fullmatch(text) or (_PATCHED.search(text) and isinstance(parent, ast.Call)):
        yield _by_hand(node, "TC501", "a name of the old resource is replaced")


def _is_answer(names: Set[str]) -> bool:
    """Return whether the fields of a class are those of an old response."""
    return {"completion", "stop_reason"} <= names <= ANSWER_FIELDS


def _is_served(node: ast.Dict, origins: Origins) -> bool:
    """Return whether an answer that a variable has is one of a server with the endpoint."""
    source = origins.source
    if _TEST.search(source.around.path) or not ADDRESS.search(source.text):
        return False
    return _is_passed_on(node)


def _is_passed_on(node: ast.Dict) -> bool:
    """Return whether the text of an answer is that of a variable."""
    return any(
        isinstance(key, ast.Constant)
        and key.value == "completion"
        and isinstance(value, ast.Name | ast.Attribute)
        for key, value in zip(node.keys, node.values, strict=True)
    )


def _of_json(node: ast.expr, text: str, body: str) -> Iterator[Note]:
    if _BODY.search(text):
        yield _by_hand(node, body, "a JSON text has the fields of the old API")
    elif _RESPONSE.search(text):
        yield _by_hand(node, "TC501", "a JSON text has the fields of an old response")


def _offset_in(node: ast.expr, source: Source) -> int | None:
    """Return the offset of the field in a text of several lines."""
    start, end = source.span(node)
    found = source.text.find(SNAKE, start, end)
    return found if found >= 0 and "\n" in source.text[start:found] else None


def _is_path(parent: ast.AST) -> bool:
    """Return whether a text is assigned to a name such as `COMPLETE_PATH`."""
    return isinstance(parent, ast.Assign) and any(
        isinstance(target, ast.Name) and re.search(r"path|url|endpoint", target.id, re.I)
        for target in parent.targets
    )


def _has_endpoint(text: str, node: ast.expr, origins: Origins) -> bool:
    """Return whether a text is the address of the endpoint, or a command with it, and no prose."""
    match = ADDRESS.search(text)
    if match is None or (_PROSE.match(text[: match.start()]) and "curl" not in text):
        return False
    source = origins.source
    start = source.start(node)
    return is_endpoint(source.text, source.text.find("v1/complete", start))


def _is_client(origins: Origins) -> bool:
    text = origins.source.text
    return "nthropic" in text and _CLIENT.search(text) is not None


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _reads(node: ast.expr, parent: ast.AST, origins: Origins) -> bool:
    """Return whether a text is the key of `x.get(…)` or `x[…]`."""
    match parent:
        case ast.Call(func=ast.Attribute(attr="get" | "pop"), args=[first, *_]):
            return first is node and not _is_translated(parent, origins)
        case ast.Subscript(slice=key, ctx=ast.Load()):
            return key is node and not _is_translated(parent, origins)
        case _:
            return False


def _is_name(node: ast.expr, parent: ast.AST) -> bool:
    """Return whether a text is one of several names of fields, or the name to use for one."""
    match parent:
        case ast.List() | ast.Tuple() | ast.Set() | ast.Return():
            return True
        case ast.Dict(values=values):
            return node in values
        case ast.Call(func=ast.Attribute(attr="setdefault"), args=[first, *_]):
            return first is node
        case ast.Call(func=ast.Name(id="setattr"), args=[_, second, *_]):
            return second is node
        case _:
            return False


def _is_translated(node: ast.expr, origins: Origins) -> bool:
    """Return whether a value becomes the limit of another API, as in `{"maxTokens": …}`."""
    outer = origins.source.parents[node]
    return isinstance(outer, ast.Dict) and any(
        value is node and isinstance(key, ast.Constant) and key.value in _OTHER_LIMITS
        for key, value in zip(outer.keys, outer.values, strict=True)
    )


def _by_hand(node: ast.AST, code: str, message: str) -> Note:
    remedy = _REMEDIES.get(code, "the names of the Messages API: `messages`, `max_tokens`")
    return Note(node, code, Hardness.BY_HAND, message, remedy)
