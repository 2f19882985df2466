from __future__ import annotations

import pytest

from tenuto.migrate.lexing import arguments, without_comments


@pytest.mark.parametrize(
    ("style", "text", "expected"),
    [
        ("js", "a // b\nc", "a     \nc"),
        ("js", '"// a" /* b */ c', '"// a"         c'),
        ("js", "`//\n${a}` // b", "`//\n${a}`     "),
        ("js", r'"\" // a"', r'"\" // a"'),
        ("go", "`\\` // a", "`\\`     "),
        ("c", '/* a\nb */ "c"', '    \n     "c"'),
        ("ruby", '"#{a}" # b', '"#{a}"    '),
        ("hash", "a: http://b#c # d", "a: http://b#c    "),
        ("elixir", '"a #{b}" # c', '"a #{b}"    '),
        ("sql", "'it''s -- a' -- b", "'it''s -- a'     "),
        ("none", "# a // b", "# a // b"),
        ("html", "<p>a</p><script>b // c\n</script>d", "                b     \n          "),
        ("html", "a\n<SCRIPT src=x>b</script >", " \n              b          "),
    ],
)
def test_comments_become_blanks(style: str, text: str, expected: str) -> None:
    assert without_comments(text, style) == expected


@pytest.mark.parametrize("style", ["c", "js", "go", "php", "ruby", "hash"])
def test_open_literals_and_comments_end_with_the_text(style: str) -> None:
    for text in ('"a', "/* a", "`a", '"""a', "'\\"):
        assert len(without_comments(text, style)) == len(text)


@pytest.mark.parametrize("text", ["<script>" * 250_000, "<script " * 250_000])
def test_open_scripts_are_read_once(text: str) -> None:
    # It would not end if the time grew with the square of the length.
    assert without_comments(text, "html") == " " * len(text)


def test_arguments_end_at_their_bracket() -> None:
    assert arguments("f(a, ')', [b]) + c(d)", 1) == "(a, ')', [b])"
    assert arguments("(" * 9, 0, most=4) == "(((("
