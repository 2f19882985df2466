from __future__ import annotations

import pytest

from tenuto.models.choice import RemoteFile, choose
from tenuto.models.errors import ModelUnavailable
from tenuto.models.names import Reference

GB = 1_000_000_000


def chosen(selector: str | None, *files: str | tuple[str, int]) -> list[str]:
    pairs = [(file, GB) if isinstance(file, str) else file for file in files]
    remote = [RemoteFile(path, size, "0" * 64) for path, size in pairs]
    return [file.path for file in choose(Reference("o/r", selector), remote).files]


def refusal(selector: str | None, *files: str | tuple[str, int]) -> str:
    with pytest.raises(ModelUnavailable) as raised:
        chosen(selector, *files)
    return str(raised.value)


USUAL = ("m-Q2_K.gguf", "m-Q4_0.gguf", "m-Q4_K_M.gguf", "m-Q8_0.gguf", "README.md")


@pytest.mark.parametrize(
    "selector",
    ["m-Q4_K_M.gguf", "Q4_K_M", "q4_k_m", "m-q4_k_m", "M-Q4_K_M.GGUF"],
)
def test_file_is_chosen_by_name_or_quantisation(selector: str) -> None:
    assert chosen(selector, *USUAL) == ["m-Q4_K_M.gguf"]


def test_only_model_is_chosen_without_a_name() -> None:
    assert chosen(None, "odd.gguf", "README.md", "mmproj-odd-f16.gguf") == ["odd.gguf"]


def test_default_is_q8_0_for_small_and_4_bits_for_large_models() -> None:
    assert chosen(None, *USUAL) == ["m-Q8_0.gguf"]
    large = [name for name in USUAL if "Q8_0" not in name]
    assert chosen(None, *large, ("m-Q8_0.gguf", 5 * GB)) == ["m-Q4_K_M.gguf"]


def test_file_in_a_folder_is_chosen_by_its_name() -> None:
    assert chosen("m.gguf", "a/m.gguf", "a/n.gguf") == ["a/m.gguf"]
    assert chosen("a/n.gguf", "a/m.gguf", "a/n.gguf") == ["a/n.gguf"]


def test_ambiguous_choice_lists_the_files_with_their_sizes() -> None:
    message = refusal("Q8_0", "a-Q8_0.gguf", ("b-Q8_0.gguf", 2 * GB), "c-Q4_0.gguf")
    assert "a-Q8_0.gguf (1.0 GB); b-Q8_0.gguf (2.0 GB)" in message
    assert "c-Q4_0" not in message
    assert "a.gguf" in refusal(None, "a.gguf", "b.gguf")


def test_missing_quantisation_lists_the_available_files() -> None:
    message = refusal("Q5_K_M", *USUAL)
    assert "has no 'Q5_K_M'" in message
    assert "m-Q4_0.gguf (1.0 GB)" in message
    assert "README" not in message


def test_repository_without_gguf_is_an_error() -> None:
    assert "holds no GGUF file" in refusal(None, "model.safetensors")


PARTS = [f"m-Q8_0-0000{n}-of-00003.gguf" for n in (1, 2, 3)]


@pytest.mark.parametrize("selector", [None, "Q8_0", PARTS[0], PARTS[1], "m-Q8_0"])
def test_split_model_is_chosen_whole_and_in_order(selector: str | None) -> None:
    assert chosen(selector, *reversed(PARTS)) == PARTS


def test_size_of_a_split_model_includes_every_part() -> None:
    split = [(part, 2 * GB) for part in PARTS]
    assert chosen(None, *split, "m-Q4_K_M.gguf") == ["m-Q4_K_M.gguf"]
    assert "(6.0 GB)" in refusal("Q1", *split)


def test_missing_part_is_named() -> None:
    assert PARTS[2] in refusal("Q8_0", *PARTS[:2])


@pytest.mark.parametrize("name", ["../x.gguf", "/x.gguf", "a/../../x.gguf", "a\\x.gguf"])
def test_name_outside_the_folder_is_never_chosen(name: str) -> None:
    assert "no GGUF file" in refusal(None, name)
    assert chosen("Q8_0", name, "m-Q8_0.gguf") == ["m-Q8_0.gguf"]
