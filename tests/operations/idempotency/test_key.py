from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.refusal import Kind
from tenuto.operations.idempotency.key import LONGEST_KEY, parse_key
from tests.refusals import refused

KEYS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ('"8e03978e"', "8e03978e"),
        ("  order 7, second try ", "order 7, second try"),
        (r'"a \"quoted\" \\ key"', r'a "quoted" \ key'),
        ('5" disk', '5" disk'),
        (r"back\slash", r"back\slash"),
        ('" "', " "),
        ("k" * LONGEST_KEY, "k" * LONGEST_KEY),
        (f'"{"k" * LONGEST_KEY}"', "k" * LONGEST_KEY),
    ],
)
def test_key_is_the_value_without_its_quotes(value: str, key: str) -> None:
    assert parse_key([value]) == key


@given(KEYS)
def test_any_key_in_quotes_is_itself(key: str) -> None:
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_key([f'"{escaped}"']) == key


def test_same_value_twice_is_one_key() -> None:
    assert parse_key(["one", "one "]) == "one"


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (["one", "two"], "different values"),
        ([""], "must not be empty"),
        (["  "], "must not be empty"),
        (['""'], "must not be empty"),
        (["k" * 256], "at most 255 characters, not 256"),
        ([f'"{"k" * 256}"'], "at most 255 characters, not 256"),
        (["schlüssel"], "printable ASCII"),
        (["a\tb"], "printable ASCII"),
        (['"open'], "must end with a quote"),
        (['"a";b'], "must end with a quote"),
        (['"a"b"'], "must end with a quote"),
        ([r'"a\b"'], "must end with a quote"),
        (['"'], "must end with a quote"),
    ],
)
def test_other_value_is_refused_by_the_name_of_the_header(values: list[str], problem: str) -> None:
    with refused(Kind.INVALID, f"^idempotency-key: .*{problem}"):
        parse_key(values)
