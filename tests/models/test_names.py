from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.models import names
from tenuto.models.errors import ModelUnavailable, size_text
from tenuto.models.names import Reference


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("org/repo", Reference("org/repo")),
        ("hf:org/repo", Reference("org/repo")),
        ("org/repo:Q8_0", Reference("org/repo", "Q8_0")),
        ("hf:org/repo:deep/er/file.gguf", Reference("org/repo", "deep/er/file.gguf")),
        ("Org-1/Repo_2.5-GGUF", Reference("Org-1/Repo_2.5-GGUF")),
    ],
)
def test_reference_is_parsed(text: str, reference: Reference) -> None:
    assert names.parse(text) == reference


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "repo",
            "org/",
            "/repo",
            "a/b/c",
            "org/repo:",
            "../repo",
            "org/..",
            "./x",
            "or g/repo",
        ),
        *("org/repo:../x.gguf", "org/repo:/etc/x.gguf", "org/repo:a//b", "org/repo:a/./b"),
        *("org/repo:a\\b.gguf", "org/repo:a:b", "org/repo:a\nb", "org/repo:\0", "https://x/y"),
        *("o/r\n", "-o/r", "é/r"),
    ],
)
def test_invalid_reference_is_rejected_with_the_form(text: str) -> None:
    with pytest.raises(ModelUnavailable, match=r"org/repo:file\.gguf"):
        names.parse(text)


@given(st.text())
def test_safe_file_name_stays_in_its_folder(path: str) -> None:
    if names.is_file(path):
        assert not path.startswith("/")
        assert ".." not in path.split("/")
        assert "\\" not in path


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("model-Q4_K_M.gguf", "Q4_K_M"),
        ("model.q8_0.gguf", "Q8_0"),
        ("Qwen2.5-0.5B-Instruct-IQ4_XS.gguf", "IQ4_XS"),
        ("model-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("model-fp16.gguf", "FP16"),
        ("model_BF16.gguf", "BF16"),
        ("model-Q6_K-00001-of-00002.gguf", "Q6_K"),
        ("Q2_K/model-00001-of-00003.gguf", "Q2_K"),
        ("q4-cats-Q5_0.gguf", "Q5_0"),
        ("model.gguf", None),
        ("tenuto-mini.gguf", None),
        ("faq2_kitchen.gguf", None),
    ],
)
def test_quantisation_is_parsed_from_the_name(path: str, kind: str | None) -> None:
    assert names.quantisation(path) == kind


def test_every_part_names_all_parts() -> None:
    parts = ["a/m-00001-of-00003.gguf", "a/m-00002-of-00003.gguf", "a/m-00003-of-00003.gguf"]
    assert all(names.parts(part) == parts for part in parts)
    assert {names.first_file(part) for part in parts} == {parts[0]}
    assert names.parts("m.gguf") == ["m.gguf"]
    assert names.stem(parts[1]) == "m"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (3_496_512, "3.5 MB"),
        (999_960, "1.0 MB"),
        (4_700_000_000, "4.7 GB"),
        (10**13, "10.0 TB"),
    ],
)
def test_sizes_have_decimal_units(size: int, text: str) -> None:
    assert size_text(size) == text
