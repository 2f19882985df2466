"""The kinds of files other than Python, by the ends of their names."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from tenuto.migrate.findings import MESSAGES
from tenuto.migrate.known_clients import JAVASCRIPT

JS_SDK: Final = re.compile(r"@anthropic-ai/(?:sdk|bedrock-sdk)")


@dataclass(frozen=True)
class Language:
    """A language, or a kind of file.

    Attributes:
        comments: The style of its comments: see `lexing.without_comments`.
        client: The code of uses of a client library.
        method: The pattern of a call, or None.
        library: The pattern that shows the official library, or None.
        remedy: The replacement of a call.
    """

    comments: str
    client: str
    method: re.Pattern[str] | None = None
    library: re.Pattern[str] | None = None
    remedy: str = MESSAGES

    @property
    def kind(self) -> str:
        """The kind for `fields`."""
        kinds = {"TC407": "js", "TC409": "java", "TC403": "settings"}
        return "data" if self.comments == "none" else kinds.get(self.client, "code")


JS: Final = Language(
    "js",
    "TC407",
    re.compile(r"(?<!\.chat)\.(?:completions\s*\.\s*create|complete|completeStream)\s*(?=\()"),
    JS_SDK,
    "`client.messages.create({model, max_tokens, messages})`, or `client.messages.stream(…)`",
)
_HTML: Final = replace(JS, comments="html")
_GO: Final = Language(
    *("go", "TC408", re.compile(r"\.Completions\.New(?:Streaming)?\s*(?=\()")),
    re.compile(r"anthropic-sdk-go"),
    "`client.Messages.New(ctx, anthropic.MessageNewParams{…})`",
)
_JAVA: Final = Language(
    *("c", "TC409", re.compile(r"\.completions\(\)\s*\.\s*create(?:Streaming)?\s*(?=\()")),
    re.compile(r"com\.anthropic"),
    "`client.messages().create(MessageCreateParams…)`",
)
_RUBY: Final = Language(
    *("ruby", "TC410", re.compile(r"\.(?:complete|completions\s*\.\s*create)\s*(?=\()")),
    re.compile(r"""require\s+["']anthropic["']"""),
    "`client.messages.create(…)`",
)
_PHP: Final = Language(
    *("php", "TC412", re.compile(r"->completions\(\)\s*->\s*create(?:Streamed)?\s*(?=\()")),
    re.compile(r"\bAnthropic(?:\\|::)"),
    "`$client->messages()->create([…])`",
)
_OTHER: Final = Language("c", "TC412")
_SHELL: Final = Language("hash", "TC401")
CONFIG: Final = Language("hash", "TC403")
# Like settings, but its texts are literals.
_HCL: Final = Language("hash", "TC403")
_DATA: Final = Language("none", "TC403")

LANGUAGES: Final[dict[str, Language]] = {
    **dict.fromkeys(JAVASCRIPT, JS),
    **dict.fromkeys(("html", "htm"), _HTML),
    "go": _GO,
    **dict.fromkeys(("java", "kt", "kts", "scala", "groovy"), _JAVA),
    **dict.fromkeys(("rb", "rake", "rbi", "rbs", "cr"), _RUBY),
    **dict.fromkeys(("rs", "cs", "csx", "fs", "fsx", "swift", "dart", "zig", "gleam"), _OTHER),
    **dict.fromkeys(("cpp", "cc", "cxx", "c", "h", "hh", "hpp", "m", "mm"), _OTHER),
    # Apex of Salesforce, messages of Protocol Buffers, Wing.
    **dict.fromkeys(("cls", "proto", "w"), _OTHER),
    # Pages with C# or Java, triggers of Salesforce, AutoHotkey, Haskell, OCaml, Pascal, D, V, Haxe,
    # Ur/Web.
    **dict.fromkeys(("razor", "cshtml", "jsp", "trigger", "ahk", "hs", "ml", "pas", "dpr"), _OTHER),
    **dict.fromkeys(("d", "v", "hx", "cfc", "jsonnet", "libsonnet", "ur", "urs"), _OTHER),
    "php": _PHP,
    **dict.fromkeys(("lisp", "cl", "el", "clj", "cljs"), Language("lisp", "TC412")),
    **dict.fromkeys(("rkt", "scm", "ss", "fnl", "janet", "hy"), Language("lisp", "TC412")),
    **dict.fromkeys(("ex", "exs"), Language("elixir", "TC412")),
    **dict.fromkeys(("r", "jl", "pl", "pm", "lua", "nim", "coffee"), Language("hash", "TC412")),
    **dict.fromkeys(("sh", "bash", "zsh", "fish", "bats", "ps1", "psm1"), _SHELL),
    **dict.fromkeys(("dockerfile", "makefile", "bat", "cmd", "applescript", "vim"), _SHELL),
    # Basic, GDScript, Tcl, Raku, Nushell, Stata, Cython, Erlang.
    **dict.fromkeys(("vb", "bas", "vbs", "gd", "tcl", "raku", "nu"), Language("hash", "TC412")),
    **dict.fromkeys(("do", "ado", "pyx", "erl", "hrl"), Language("hash", "TC412")),
    **dict.fromkeys(("yaml", "yml", "toml", "ini", "cfg", "env", "properties", "conf"), CONFIG),
    # Templates of CloudFormation.
    "template": CONFIG,
    **dict.fromkeys(("tf", "tfvars", "hcl"), _HCL),
    **dict.fromkeys(("sql", "psql", "pgsql"), Language("sql", "TC412")),
    **dict.fromkeys(("json", "jsonc", "json5"), _DATA),
    # Requests of editors and of API clients.
    **dict.fromkeys(("http", "rest", "bru", "hurl"), _DATA),
}
"""The kinds of files by the ends of their names."""
