"""The models and the arithmetic of the embedded engine's benchmark."""

from __future__ import annotations

import math
import re

import pytest

np = pytest.importorskip("numpy")
gguf = pytest.importorskip("gguf")

from benchmarks.engine import aims, blocks, report, scenarios  # noqa: E402
from benchmarks.engine.peers import PEER, bare_name  # noqa: E402
from benchmarks.engine.scenarios import streams_first, streams_rate  # noqa: E402
from benchmarks.engine.streams import Prompts  # noqa: E402
from benchmarks.engine.vocabulary import PROMPT_END, Vocabulary  # noqa: E402

SMALL = Vocabulary(20_000)
KINDS = ["Q8_0", "Q6_K", "Q5_0", "Q4_K", "Q4_0"]


def table(**rates: float) -> report.Table:
    found = report.Table("any", aims.column({"avx2"}, openvino=True), {"Tenuto": "llamacpp"})
    for name, value in rates.items():
        found.add(streams_rate(1), {"ours": "Tenuto", "peer": PEER}.get(name, name), value)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_have_the_requested_spread_and_no_mean(kind: str) -> None:
    wanted = gguf.GGMLQuantizationType[kind]
    data = blocks.random_matrix(np.random.default_rng(0), 64, 1024, wanted, 0.02)
    weights = gguf.quants.dequantize(data, wanted)
    assert weights.shape == (64, 1024)
    assert weights.std() == pytest.approx(0.02, rel=0.03)
    assert abs(weights.mean()) < 0.0005


def test_rows_that_do_not_suit_a_k_quant_are_refused() -> None:
    kind = gguf.GGMLQuantizationType.Q4_K
    assert blocks.mixed(kind, 896) is gguf.GGMLQuantizationType.Q5_0
    with pytest.raises(ValueError, match="multiple of 256"):
        blocks.random_matrix(np.random.default_rng(0), 1, 896, kind, 0.02)


def test_the_mixture_has_more_bits_at_both_ends_and_in_each_third_layer_between() -> None:
    found = [layer for layer in range(24) if blocks.has_more_bits(layer, 24)]
    assert found == [0, 1, 2, 5, 8, 11, 14, 17, 20, 21, 22, 23]


def test_each_word_has_one_successor_and_completions_do_not_repeat() -> None:
    ids = SMALL.successors
    assert len(set(ids)) == len(ids)
    assert SMALL.tokens[ids[0]] == PROMPT_END
    spelled = [SMALL.tokens[token].removeprefix("Ġ") for token in ids[1:65]]
    assert spelled == SMALL.completion(64)


def test_a_prompt_has_its_number_of_tokens() -> None:
    prompt = Prompts(1, SMALL).distinct(64)
    # A token for each word with its space, and for each character of the turn's frame.
    words = re.findall(r" [a-z]{4}\b", prompt)
    frame = re.sub(r" [a-z]{4}\b", "", prompt)
    assert len(words) + len(frame) == 64


def test_a_copying_task_has_the_completion_but_for_each_nth_word() -> None:
    words = Prompts(1, SMALL).copied(128, 16).split()
    unlike = [
        place
        for place, pair in enumerate(zip(words, SMALL.completion(128), strict=True))
        if pair[0] != pair[1]
    ]
    assert unlike == list(range(15, 128, 16))


def test_a_ratio_above_one_is_always_better() -> None:
    found = table(ours=30, peer=20)
    found.add(streams_first(32), "Tenuto", 2)
    found.add(streams_first(32), PEER, 6)
    assert found.ratio(streams_rate(1), "Tenuto", PEER) == 1.5
    assert found.ratio(streams_first(32), "Tenuto", PEER) == 3
    assert math.isnan(found.ratio(scenarios.PREFILL, "Tenuto", PEER))


@pytest.mark.parametrize(("ours", "met"), [(22, "yes"), (21, "no")])
def test_the_table_states_hits_and_misses(ours: float, met: str) -> None:
    lines = list(report.markdown(table(ours=ours, peer=20)))
    row = next(line for line in lines if line.startswith("| 1 stream"))
    assert row.split(" | ")[-2:] == ["1.1", f"{met} |"]


def test_the_choice_of_auto_decides_over_a_better_side() -> None:
    found = table(ours=21, peer=20)
    found.runtimes["Tenuto, openvino"] = "openvino"
    found.add(streams_rate(1), "Tenuto, openvino", 40)
    rows = [line for line in report.markdown(found) if line.startswith("| 1 stream")]
    assert rows[0].endswith("| no |")
    del found.runtimes["Tenuto"]
    rows = [line for line in report.markdown(found) if line.startswith("| 1 stream")]
    assert rows[0].endswith("| yes |")


def test_the_bare_loop_of_the_same_runtime_is_compared() -> None:
    found = table(ours=19, peer=10)
    found.add(streams_rate(1), bare_name("llamacpp"), 20)
    found.add(streams_rate(1), bare_name("openvino"), 40)
    rows = {name: ratios for name, _, ratios in found.comparisons()}
    assert rows[f"{streams_rate(1)}, over the bare loop of the library"] == {"Tenuto": 0.95}


@pytest.mark.parametrize(
    ("features", "openvino", "title"),
    [
        ({"avx2", "avx512f", "avx512_vnni"}, True, "AVX-512 VNNI"),
        ({"avx2", "avx512f"}, True, "AVX2"),
        ({"avx2", "avx512_vnni"}, False, "models that OpenVINO does not read"),
    ],
)
def test_aims_follow_processor_and_model(features: set[str], openvino: bool, title: str) -> None:
    column = aims.column(features, openvino=openvino)
    assert column is not None
    assert column.title == title


def test_no_aims_for_an_unknown_processor() -> None:
    assert aims.column(set(), openvino=True) is None
