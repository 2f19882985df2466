"""The training text: reproducible, well formed, complete, and free of what is held out."""

import json
import re
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from training.corpus import arithmetic, facts
from training.corpus.documents import documents
from training.corpus.material import FOLDER, load
from training.corpus.opendata import open_documents
from training.corpus.questions import questions, story_requests
from training.corpus.stories import request_by_name, story
from training.corpus.story_checks import faults
from training.corpus.templates import expand
from training.corpus.vocabulary import made_up

ROOT = Path(__file__).parents[2]
TURN = re.compile(r"(?:^|\n\n)(Human|Assistant):")


@cache
def sample() -> list[str]:
    return list(documents(5000, seed=7))


def test_same_seed_returns_the_same_corpus_in_another_process(tmp_path: Path) -> None:
    out = tmp_path / "corpus.jsonl"
    command = [sys.executable, "-m", "training.corpus", str(out), "--documents", "300"]
    subprocess.run([*command, "--seed", "7"], check=True, cwd=ROOT, capture_output=True)
    with out.open(encoding="utf-8") as file:
        assert [json.loads(line) for line in file] == sample()[:300]


def test_another_seed_returns_another_corpus() -> None:
    assert list(documents(50, seed=8)) != sample()[:50]


def test_no_document_has_three_newlines_in_a_row_or_ends_in_white_space() -> None:
    for text in sample():
        assert "\n\n\n" not in text
        assert text == text.rstrip()


def test_every_slot_and_alternative_is_filled() -> None:
    for text in sample():
        assert not re.search(r"<[a-zA-Z ]+\d?>", text), text
        assert "{" not in text.replace('{"', ""), text
        assert "|" not in text, text


def test_talks_end_with_the_stop_sequence_and_alternate() -> None:
    for text in sample():
        speakers = TURN.findall(text)
        if not speakers:
            continue  # plain text
        assert text.endswith("\n\nHuman:")
        assert speakers[0] == "Human"
        for one, other in pairwise(speakers):
            assert not one == other == "Assistant", text
        doubled = sum(pair == ("Human", "Human") for pair in pairwise(speakers))
        assert doubled <= 1, text


def test_most_documents_are_talks_and_some_are_plain() -> None:
    plain = sum(not TURN.search(text) for text in sample())
    assert 0.02 < plain / len(sample()) < 0.15


def test_every_fact_is_generated() -> None:
    rng = Random(1)
    drawn = {(t.human, t.assistant) for _ in range(60_000) for t in facts.fact(rng)}
    answers = {answer for _, answer in drawn}
    for form, row in facts.every():
        possible = {expand(form.answer, rng, row) for _ in range(30)}
        assert possible & answers, (form.ask, row)


def test_every_sum_to_twenty_is_generated() -> None:
    rng = Random(1)
    seen = {arithmetic.operands("plus", rng) for _ in range(8000)}
    assert len(seen) == 231
    assert all(first + second == result for first, second, result in seen)


@pytest.mark.parametrize("part", ["names", "words", "greetings", "identity"])
def test_held_out_names_and_words_never_occur(part: str) -> None:
    text = "\n".join(sample()).lower()
    written = set(re.findall(r"\w+", text))
    for held_out in load("held_out")[part]:
        if part in ("names", "words"):
            assert held_out.lower() not in written, held_out
        else:
            assert f"human: {held_out.lower()}\n" not in text, held_out


def test_held_out_phrasings_never_occur() -> None:
    text = "\n".join(sample())
    held_out = load("held_out")
    ways = [
        way[part] for way in held_out["recall"] + held_out["favorite"] for part in ("tell", "ask")
    ]
    ways += held_out["repeat"]["ask"] + held_out["stories"]["ask"] + held_out["stories"]["further"]
    for way in ways:
        longest = max(re.split(r"a? ?<\w+>", way), key=len).strip()
        assert len(longest) >= 10
        assert longest not in text, way


def test_most_made_up_words_are_unique() -> None:
    rng = Random(1)
    words = [made_up(rng) for _ in range(2000)]
    assert len(set(words)) > 1900
    assert all(3 <= len(word) < 15 and word.isalpha() for word in words)


@pytest.mark.parametrize("name", [path.stem for path in sorted(FOLDER.glob("*.toml"))])
def test_material_has_no_held_out_name_or_word(name: str) -> None:
    if name == "held_out":
        return
    material = (FOLDER / f"{name}.toml").read_text(encoding="utf-8").lower()
    for held_out in load("held_out")["names"] + load("held_out")["words"]:
        assert not re.search(rf"(?<!\w){held_out.lower()}(?!\w)", material), held_out


def test_stories_have_one_hero_and_a_bounded_length() -> None:
    rng = Random(3)
    for _ in range(300):
        tale = story(rng)
        assert tale.text.count(tale.values["hero"]) >= 3
        assert 60 <= len(tale.text.split()) <= 200


def test_story_has_the_hero_named_in_the_request() -> None:
    rng = Random(5)
    after_name = set()
    for _ in range(1500):
        question, tale = request_by_name(rng)
        hero = tale.values["hero"]
        assert re.search(rf"(?<!\w){re.escape(hero)}(?!\w)", question, re.IGNORECASE), question
        assert tale.text.count(hero) >= 3, question
        assert not re.search(r"[<>{}|]|  | [.,!?]", question), question
        after_name.update(re.findall(rf"{re.escape(hero)}(\W+\w+)", question)[:1])
    # The word after a name must vary, because the model would otherwise add it to the name.
    assert len(after_name) > 300


def test_every_generated_story_passes_the_checks() -> None:
    rng = Random(3)
    for _ in range(500):
        tale = story(rng)
        assert faults(tale.text, tale.values["hero"]) == [], tale.text


def test_checks_detect_a_changed_hero_name() -> None:
    rng = Random(3)
    for _ in range(100):
        tale = story(rng)
        name = tale.values["hero"]
        last = tale.text.rindex(name)
        changed = tale.text[:last] + tale.text[last:].replace(name, "Xolo")
        assert faults(changed, name), changed


def test_checks_detect_the_ending_of_another_plot() -> None:
    rng = Random(3)
    found = 0
    stories = [story(rng) for _ in range(200)]
    pairs = [(a, b) for a, b in pairwise(stories) if a.plot["name"] != b.plot["name"]]
    for one, other in pairs:
        half = one.text[: one.text.index(". ", len(one.text) // 2)]
        end = other.text[other.text.index(". ", len(other.text) // 2) :]
        for part in ("hero", "friend"):
            end = end.replace(other.values[part], one.values[part])
        found += bool(faults(half + end))
    assert found > 0.95 * len(pairs)


def test_a_story_without_names_or_plot_has_faults() -> None:
    assert "no character has a name" in faults("The fox was happy. Then it slept. The end.")
    assert "it has no plot" in faults("Once there was a fox named Ida. Ida was happy.")
    assert "Ida does not appear" in faults("Once there was a fox named Bo. Bo was happy.", "Ida")


def test_questions_are_graded() -> None:
    found = {question.skill: question for question in questions()}
    assert len(found) >= 9
    assert found["capitals"].right(" The capital of Mongolia is Ulaanbaatar.")
    assert not found["capitals"].right(" The capital of Mongolia is Paris.")
    assert found["sums to 20"].right(" 20 plus 0 is 20.")
    assert not found["sums to 20"].right(" 20 plus 0 is 21.")


def test_story_requests_combine_every_held_out_name_and_phrasing_once() -> None:
    requests = story_requests()["stories, new phrasing and names"]
    held_out = load("held_out")
    assert len(requests) == len(held_out["names"]) * len(held_out["stories"]["ask"])
    assert len({one.prompt for one in requests}) == len(requests)
    assert all(one.hero and one.hero in one.prompt for one in requests)


def test_open_data_is_a_small_share(tmp_path: Path) -> None:
    talks = [f"\n\nHuman: {i}\n\nAssistant: Yes.\n\nHuman:" for i in range(100)]
    lines = "".join(json.dumps(talk) + "\n" for talk in talks)
    (tmp_path / "microsoft_chitchat.jsonl").write_text(lines, encoding="utf-8")
    assert len(open_documents(tmp_path, 1000, Random(1))) == 20
    assert open_documents(tmp_path / "nowhere", 1000, Random(1)) == []
