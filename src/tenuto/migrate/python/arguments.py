"""The arguments of a completions call -> those of `messages.create`."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Final

from tenuto.core.prompt import HUMAN
from tenuto.migrate.findings import Hardness
from tenuto.migrate.python.argument import Argument, arguments_of, items_of
from tenuto.migrate.python.atoms import constant_of
from tenuto.migrate.python.calls import dict_of
from tenuto.migrate.python.model_argument import rewrite_model
from tenuto.migrate.python.origins import Origins
from tenuto.migrate.python.plan import Options, Plan
from tenuto.migrate.python.prompt_argument import PromptArgument
from tenuto.migrate.python.source import Edit

SAMPLING: Final = ("temperature", "top_p", "top_k")
# The SDK refuses more without a stream: its time limit would be too short.
_MOST_AT_ONCE: Final = 21_333
_WRONG: Final = {
    "messages": "`messages` belongs to `client.messages.create`",
    "system": "`system` belongs to `client.messages.create`",
    "max_tokens": "`max_tokens` belongs to `client.messages.create`",
    "tools": "`tools` belongs to `client.messages.create`",
}
_KEPT: Final = {
    *("metadata", "timeout", "extra_headers", "extra_query", "extra_body", "stream", "model"),
    *("prompt", "max_tokens_to_sample", "stop_sequences", "disable_checks"),
}


class Arguments:
    """Rewrite the arguments of one plan's call."""

    def __init__(self, plan: Plan, origins: Origins, options: Options) -> None:
        self.plan = plan
        self.origins = origins
        self.source = origins.source
        self.options = options

    def rewrite(self) -> None:
        """Add the edits and the obstacles."""
        node = self.plan.call.node
        if node.args:
            self.plan.by_hand(node, "TC101", "the call has arguments without names", "name them")
        lists = [arguments_of(node, self.source)]
        for unpacked in self.plan.call.unpacked:
            items = self._unpacked(unpacked)
            if items is None:
                return
            lists.append(items)
        every = [argument for each in lists for argument in each]
        self._check(every)
        for number, each in enumerate(lists):
            self._replace(each, every, self.plan.call.unpacked if number == 0 else [])

    def _unpacked(self, keyword: ast.keyword) -> list[Argument] | None:
        display = dict_of(keyword.value, self.origins)
        items = items_of(display, self.source) if display is not None else None
        if items is None or (
            isinstance(keyword.value, ast.Name)
            and len(self.origins.scopes.loads(keyword.value.id, keyword.value)) != 1
        ):
            if self._is_rest(keyword.value):
                self.plan.review(
                    *(keyword.value, "TC111", "more arguments come from the callers"),
                    "callers must not pass old names, `stream`, `temperature`, `top_p` or `top_k`",
                )
                return []
            self.plan.by_hand(
                *(
                    keyword.value,
                    "TC111",
                    "arguments are unpacked from a dict that is built elsewhere",
                ),
                "rename its keys: `max_tokens_to_sample` to `max_tokens`, `prompt` to `messages`",
            )
            return None
        self.plan.review(
            *(keyword.value, "TC111", "arguments are unpacked from a dict"),
            "check that nothing else reads the dict",
        )
        return items

    def _is_rest(self, value: ast.expr) -> bool:
        """Return whether a value is `**rest` of the function, and the call has what it needs."""
        if not isinstance(value, ast.Name):
            return False
        scopes = self.origins.scopes
        bindings = scopes.all_bindings(value.id, value)
        function = scopes.scope(value).node
        named = {each.name for each in arguments_of(self.plan.call.node, self.source)}
        return (
            {"prompt", "max_tokens_to_sample", "model"} <= named
            and isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            and function.args.kwarg is not None
            and [binding.node for binding in bindings] == [function.args.kwarg]
            and len(scopes.loads(value.id, value)) == 1
        )

    def _check(self, every: Sequence[Argument]) -> None:
        names = {argument.name for argument in every}
        for argument in every:
            if argument.name in _WRONG:
                self.plan.by_hand(
                    *(argument.value, "TC106", _WRONG[argument.name]),
                    "this call never worked; write the call of the Messages API that was meant",
                )
            elif argument.name not in _KEPT and argument.name not in SAMPLING:
                self.plan.review(
                    *(argument.value, "TC106", f"`{argument.name}` has no replacement"),
                    "look the argument up in the reference of `client.messages.create`",
                )
        missing = {"prompt", "max_tokens_to_sample"} - names
        if missing and not names & _WRONG.keys():
            word = " and ".join(f"`{name}`" for name in sorted(missing))
            self.plan.by_hand(
                *(self.plan.call.node, "TC106", f"the call lacks {word}"),
                "complete the call first",
            )

    def _replace(
        self, arguments: Sequence[Argument], every: Sequence[Argument], others: list[ast.keyword]
    ) -> None:
        """Add the edits of one list of arguments, and remove neighbours together.

        Args:
            arguments: The list.
            every: The arguments of all lists.
            others: The arguments `**x` between those of the list.
        """
        entries = [(a.start, a.end, self._argument(a, every)) for a in arguments]
        entries += [(*self.source.span(other), False) for other in others]
        entries.sort()
        index = 0
        while index < len(entries):
            last = index
            while last < len(entries) and entries[last][2]:
                last += 1
            if last > index:
                start, end = entries[index][0], entries[last - 1][1]
                if last < len(entries):
                    end = entries[last][0]
                elif index > 0:
                    start = entries[index - 1][1]
                self.plan.edits.append(Edit(start, end, ""))
            index = last + 1

    def _argument(self, argument: Argument, every: Sequence[Argument]) -> bool:
        """Add the edits of one argument; return whether it is removed."""
        match argument.name:
            case "prompt":
                PromptArgument(self.plan, self.origins, self.options, argument).rewrite()
            case "max_tokens_to_sample":
                self._limit(argument, every)
            case "model":
                rewrite_model(self.plan, self.origins, self.options, argument)
            case "stop_sequences":
                return self._stops(argument)
            case "stream":
                return self.plan.call.stream is not None
            case "disable_checks":
                return True
            case name if name in SAMPLING:
                return self._sampling(argument, every)
            case _:
                pass
        return False

    def _limit(self, argument: Argument, every: Sequence[Argument]) -> None:
        name_end = argument.start + len(argument.name) + 2 * argument.quoted
        new = '"max_tokens"' if argument.quoted else "max_tokens"
        self.plan.edits.append(Edit(argument.start, name_end, new))
        value = self._number(argument.value)
        if value is None:
            return
        streams = self.plan.call.stream is not False
        timed = any(other.name == "timeout" for other in every)
        most = self.options.most_tokens
        if not streams and not timed:
            most = min(most, _MOST_AT_ONCE)
        if value > most:
            whom = "by the SDK without a stream" if most == _MOST_AT_ONCE else "for this model"
            self.plan.review(
                *(argument.value, "TC110", f"`max_tokens` above {most} is refused {whom}"),
                f"at most {most}; above {_MOST_AT_ONCE} the SDK needs a stream, or `timeout`",
            )
            if isinstance(argument.value, ast.Constant):
                self.plan.edits.append(Edit(*self.source.span(argument.value), str(most)))

    def _number(self, node: ast.expr) -> int | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.Name):
            bindings = self.origins.scopes.all_bindings(node.id, node)
            if len(bindings) == 1 and isinstance(bindings[0].node, ast.Constant):
                return self._number(bindings[0].node)
        return None

    def _stops(self, argument: Argument) -> bool:
        value = argument.value
        if not isinstance(value, ast.List | ast.Tuple):
            self._check_stops(value)
            return False
        kept = []
        for each in value.elts:
            mark = constant_of(each, self.origins)
            text = each.value if isinstance(each, ast.Constant) else mark
            if (
                isinstance(text, str)
                and text.strip() in ("Human:", "Assistant:")
                and (mark is not None or text.startswith("\n") or text.strip() == HUMAN.strip())
            ):
                continue
            if isinstance(text, str) and not text.strip():
                self.plan.note(
                    *(
                        each,
                        "TC110",
                        Hardness.MECHANICAL,
                        "a stop sequence of white space is left out",
                    ),
                    "the Messages API refuses it; cut the answer there yourself",
                )
                continue
            kept.append(each)
        if kept and len(kept) < len(value.elts):
            text = ", ".join(self.source.segment(each) for each in kept)
            brackets = "[]" if isinstance(value, ast.List) else "()"
            comma = "," if brackets == "()" and len(kept) == 1 else ""
            new = f"{brackets[0]}{text}{comma}{brackets[1]}"
            self.plan.edits.append(Edit(*self.source.span(value), new))
        return not kept

    def _check_stops(self, value: ast.expr) -> None:
        """Note stop sequences of white space in a list that stays."""
        parts = list(ast.walk(value))
        for name in [part for part in parts if isinstance(part, ast.Name)]:
            for binding in self.origins.scopes.all_bindings(name.id, name):
                if isinstance(binding.node, ast.List | ast.Tuple):
                    parts += binding.node.elts
        for part in parts:
            text = part.value if isinstance(part, ast.Constant) else None
            if isinstance(text, str) and text and not text.strip():
                self.plan.review(
                    *(value, "TC110", "a stop sequence of white space is refused"),
                    "take it out of the list; cut the answer there yourself",
                )
                return

    def _sampling(self, argument: Argument, every: Sequence[Argument]) -> bool:
        if not self.options.keep_sampling:
            self.plan.note(
                *(argument.value, "TC108", Hardness.MECHANICAL, f"`{argument.name}` is left out"),
                "the SDK from 1.0 on has no such argument; `--sampling keep` uses `extra_body`",
            )
            return True
        present = [
            each for each in every if each.name in SAMPLING and each.quoted == argument.quoted
        ]
        if any(each.name == "extra_body" for each in every):
            self.plan.by_hand(
                *(argument.value, "TC108", "the call has an `extra_body` of its own"),
                f"add `{argument.name}` to it",
            )
            return False
        if present[0] is not argument:
            return True
        items = ", ".join(f'"{each.name}": {self.source.segment(each.value)}' for each in present)
        new = argument.written("extra_body", f"{{{items}}}")
        self.plan.edits.append(Edit(argument.start, argument.end, new))
        if not self.options.sampling or self.options.sdk == 2:
            self.plan.note(
                *(
                    argument.value,
                    "TC108",
                    Hardness.MECHANICAL,
                    "sampling parameters may be refused",
                ),
                "version 2026-10-21, which SDK 2 sends, refuses them on every model",
            )
        return False
