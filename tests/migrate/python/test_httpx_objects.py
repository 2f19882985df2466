"""Objects of `httpx` that a client gets, which the SDK from 1.0 on refuses."""

from __future__ import annotations

import pytest

from tenuto.migrate.python.plan import Options
from tenuto.migrate.python.rewrite import to_messages_api

CALL = """\
r = client.completions.create(
    model="claude-2", max_tokens_to_sample=9, prompt="\\n\\nHuman: Hi\\n\\nAssistant:"{more}
)
print(r.completion)
"""
ANTHROPIC = "from anthropic import Anthropic\n"


def rewritten(head: str, more: str = "") -> tuple[str, list[str]]:
    """Return the head of a rewritten program, and the messages of what is left."""
    result = to_messages_api(head + CALL.replace("{more}", more), Options())
    return result.text.partition("r = client")[0], [note.message for _, note in result.left]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "import httpx\nclient = Anthropic(timeout=httpx.Timeout(60, connect=5))\n",
            "import httpx2\nclient = Anthropic(timeout=httpx2.Timeout(60, connect=5))\n",
        ),
        (
            "from httpx import Timeout\nclient = Anthropic(timeout=Timeout(60))\n",
            "import httpx2\nclient = Anthropic(timeout=httpx2.Timeout(60))\n",
        ),
        (
            "import httpx\nLIMIT = httpx.Timeout(9)\nclient = Anthropic(timeout=LIMIT)\n",
            "import httpx2\nLIMIT = httpx2.Timeout(9)\nclient = Anthropic(timeout=LIMIT)\n",
        ),
        (
            "import httpx as h\nclient = Anthropic(http_client=h.Client(verify=h.X))\n",
            "import httpx2\nclient = Anthropic(http_client=httpx2.Client(verify=httpx2.X))\n",
        ),
        (
            "import httpx\nhttpx.get(U)\nclient = Anthropic(timeout=httpx.T(9))\n",
            "import httpx2\nimport httpx\nhttpx.get(U)\nclient = Anthropic(timeout=httpx2.T(9))\n",
        ),
    ],
)
def test_client_gets_objects_of_httpx2(before: str, after: str) -> None:
    assert rewritten(ANTHROPIC + before) == (ANTHROPIC + after, [])


def test_request_and_copy_get_objects_of_httpx2() -> None:
    head = f"import httpx\n{ANTHROPIC}client = Anthropic().with_options(timeout=httpx.Timeout(3))\n"
    result = to_messages_api(
        head + CALL.replace("{more}", ", timeout=httpx.Timeout(1)"), Options()
    ).text

    assert "timeout=httpx2.Timeout(3)" in result
    assert "timeout=httpx2.Timeout(1)" in result
    assert "import httpx\n" not in result


@pytest.mark.parametrize(
    "head",
    [
        # Something else reads the variable.
        "import httpx\nT = httpx.Timeout(9)\nprint(T)\nclient = Anthropic(timeout=T)\n",
        # The module is imported within a function.
        "def f():\n    import httpx\n    return Anthropic(timeout=httpx.T(9))\nclient = f()\n",
    ],
)
def test_object_that_cannot_be_replaced_is_left_and_reported(head: str) -> None:
    assert rewritten(ANTHROPIC + head) == (
        ANTHROPIC + head,
        ["the SDK from 1.0 on refuses `httpx` objects"],
    )


def test_lost_argument_of_the_client_is_reported() -> None:
    _, left = rewritten(f'{ANTHROPIC}client = Anthropic(proxies="http://proxy")\n')

    assert left == ["the client from 1.0 on has no `proxies`"]


def test_objects_stay_while_a_call_of_the_old_api_is_left() -> None:
    head = f"import httpx\n{ANTHROPIC}client = Anthropic(timeout=httpx.Timeout(9))\n"
    other = "client.completions.create(**ARGUMENTS)\n"

    result = to_messages_api(head + CALL.replace("{more}", "") + other, Options())

    assert result.calls == 1
    assert result.text.startswith(head)
