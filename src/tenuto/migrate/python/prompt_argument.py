"""The argument `prompt` -> `system` and `messages`."""

from __future__ import annotations

import ast
import re
from typing import Final

from tenuto.migrate.findings import Hardness
from tenuto.migrate.python.argument import Argument
from tenuto.migrate.python.origins import Origins
from tenuto.migrate.python.plan import Options, Plan
from tenuto.migrate.python.prompts import Shape, VisiblePrompt, take_apart
from tenuto.migrate.python.source import Edit, parse

HELPER: Final = "to_messages"
_WIDTH: Final = 88


class PromptArgument:
    """Rewrite one `prompt`."""

    def __init__(self, plan: Plan, origins: Origins, options: Options, argument: Argument) -> None:
        self.plan = plan
        self.source = origins.source
        self.origins = origins
        self.options = options
        self._argument = argument

    def rewrite(self) -> None:
        """Add the edits and the obstacles."""
        value = self._argument.value
        assigned = self._assigned(value)
        prompt = take_apart(assigned or value, self.origins)
        self._note(prompt, value)
        if prompt.shape is Shape.HIDDEN:
            self._call_helper()
        elif assigned is None:
            base = self._indent(self._argument.start)
            new = self._keywords(prompt, base)
            self.plan.edits.append(Edit(self._argument.start, self._argument.end, new))
        else:
            self._replace_variable(prompt, assigned, value)

    def _assigned(self, value: ast.expr) -> ast.expr | None:
        """Return the expression of a variable that only this call reads."""
        if not isinstance(value, ast.Name) or len(self.origins.scopes.loads(value.id, value)) != 1:
            return None
        bindings = self.origins.scopes.all_bindings(value.id, value)
        if len(bindings) != 1 or bindings[0].kind != "value":
            return None
        binding = bindings[0]
        statement = binding.statement
        single = isinstance(statement, ast.Assign) and len(statement.targets) == 1
        here = self.origins.scopes.scope(statement) is self.origins.scopes.scope(value)
        if not single or not here or not isinstance(binding.node, ast.expr):
            return None
        return (
            binding.node
            if take_apart(binding.node, self.origins).shape is not Shape.HIDDEN
            else None
        )

    def _note(self, prompt: VisiblePrompt, value: ast.expr) -> None:
        """Add the obstacles of a prompt; a refused prefill is left out."""
        if prompt.shape is Shape.BARE:
            self.plan.review(
                *(value, "TC201", "the prompt has no turns; the service refused such prompts"),
                "it becomes one message of the user; check that this was meant",
            )
        elif prompt.shape is Shape.UNENDED:
            self.plan.review(
                *(value, "TC201", "the prompt does not end with an Assistant turn"),
                "the last turn becomes the last message; check that this was meant",
            )
        elif prompt.prefill and not self.options.prefill:
            visible = prompt.shape is not Shape.HIDDEN
            done = "the prefill is left out" if visible else "take it out of the prompt"
            self.plan.review(
                *(value, "TC203", f"{self.options.model} refuses a prefill"),
                f"describe the beginning of the answer in `system`; {done}",
            )
            if visible:
                prompt.messages.pop()
        elif prompt.shape is Shape.HIDDEN:
            self.plan.note(
                *(
                    value,
                    "TC202",
                    Hardness.MECHANICAL,
                    "the turns of the prompt are not visible here",
                ),
                "`to_messages` takes them apart at run time, as the server did",
            )

    def _call_helper(self) -> None:
        start = self._argument.start
        name = re.compile(r"(?:prompt\s*=|['\"]prompt['\"]\s*:)\s*")
        found = name.match(self.source.text, start)
        end = found.end() if found else self.source.start(self._argument.value)
        self.plan.needs_helper = True
        self.plan.edits += [
            Edit(start, end, f"**{HELPER}("),
            Edit(self._argument.end, self._argument.end, ")"),
        ]

    def _replace_variable(self, prompt: VisiblePrompt, assigned: ast.expr, value: ast.expr) -> None:
        assert isinstance(value, ast.Name)
        start, end = self._whole(assigned)
        argument = self._argument
        if not prompt.system and len(prompt.messages) == 1:
            content = prompt.messages[0][1]
            outside = "\n" in content and not _is_one_string(content)
            self.plan.edits.append(Edit(start, end, f"({content})" if outside else content))
            message = f'[{{"role": "user", "content": {value.id}}}]'
            new = argument.written("messages", message)
        else:
            base = self._indent(start)
            inner = base + self._step()
            lines = [f'{inner}"system": {prompt.system},'] if prompt.system else []
            lines += [f'{inner}"messages": {self._list(prompt, inner)},']
            newline = self.source.newline
            display = newline.join(["{", *lines, f"{base}}}"])
            self.plan.edits.append(Edit(start, end, display))
            new = f"**{value.id}"
        self.plan.edits.append(Edit(argument.start, argument.end, new))

    def _whole(self, node: ast.expr) -> tuple[int, int]:
        """Return the offsets of an assigned expression with its brackets."""
        statement = self.source.statement(node)
        assert isinstance(statement, ast.Assign)
        target_end = self.source.end(statement.targets[0])
        equals = re.compile(r"\s*=\s*").match(self.source.text, target_end)
        start = equals.end() if equals else self.source.start(node)
        return start, self.source.end(statement)

    def _keywords(self, prompt: VisiblePrompt, base: str) -> str:
        argument = self._argument
        messages = argument.written("messages", self._list(prompt, base))
        if not prompt.system:
            return messages
        line = self.source.place(argument.start)[0]
        before = self.source.text[self.source.line_start(line) : argument.start]
        gap = f",{self.source.newline}{base}" if not before.strip() else ", "
        return argument.written("system", prompt.system) + gap + messages

    def _list(self, prompt: VisiblePrompt, base: str) -> str:
        items = [f'{{"role": "{role}", "content": {text}}}' for role, text in prompt.messages]
        line = f"[{', '.join(items)}]"
        if len(items) == 1 and (len(base) + len(line) + 10 <= _WIDTH or "\n" in items[0]):
            return line
        inner, newline = base + self._step(), self.source.newline
        return newline.join(["[", *(f"{inner}{item}," for item in items), f"{base}]"])

    def _indent(self, offset: int) -> str:
        """Return the white space for a new line at an offset."""
        line = self.source.place(offset)[0]
        text = self.source.text[self.source.line_start(line) : offset]
        return text[: len(text) - len(text.lstrip())]

    def _step(self) -> str:
        return "\t" if re.search(r"^\t", self.source.text, re.MULTILINE) else "    "


def _is_one_string(text: str) -> bool:
    try:
        node = parse(text).body[0]
    except SyntaxError:
        return False
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant | ast.JoinedStr)
