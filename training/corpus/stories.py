"""Short stories: an opening, the beats of one plot and an ending over a consistent cast."""

import re
from random import Random
from typing import Any, NamedTuple

from training.corpus.material import load
from training.corpus.templates import article, capital, expand, slots
from training.corpus.turns import Talk, Turn
from training.corpus.vocabulary import made_up, rare_name

_PRONOUNS = {"girl": ("she", "her", "her"), "boy": ("he", "him", "his")}


class Story(NamedTuple):
    """A story with what a person may have asked for: its hero, thing and place."""

    text: str
    values: dict[str, str]
    plot: dict[str, Any]


def _kind(sex: str, rng: Random, strange: bool) -> str:
    """What a character is: a girl or boy, a beast, or, if `strange`, also what else has a name."""
    if strange and rng.random() < 0.3:
        return rng.choice([*load("story_requests")["people"], *load("words")["animal"]])
    return rng.choice(load("stories")["beasts"]) if rng.random() < 0.6 else sex


def _character(prefix: str, rng: Random, taken: dict[str, str], strange: bool) -> dict[str, str]:
    """Name, noun, adjective and pronouns of one character, as slots that begin with `prefix`.

    A `strange` name is for one that the person asked for: the model is to copy any name, but not to
    make one up, as it would never find an end.
    """
    content, words = load("stories"), load("words")
    while True:
        sex = rng.choice(("girl", "boy"))
        noun = _kind(sex, rng, strange)
        name = rng.choice(words[f"{sex}s"])
        if strange and rng.random() < 0.6:
            name = made_up(rng).capitalize() if noun != sex else rare_name(rng)
        if name != taken.get("hero") and noun != taken.get("hero_kind"):
            break
    he, him, his = _PRONOUNS[sex]
    return {
        prefix: name,
        f"{prefix}_kind": noun,
        f"{prefix}_like": rng.choice(content["adjectives"]),
        f"{prefix}_he": he,
        f"{prefix}_him": him,
        f"{prefix}_his": his,
    }


def story(rng: Random, needs: str | None = None, named: tuple[str, ...] = ()) -> Story:
    """One story of 80 to 160 words; with `needs`, its plot turns on that slot (``thing``…).

    Those `named` (``hero``, ``friend``) may have strange names.
    """
    content = load("stories")
    plots = [p for p in content["plot"] if needs is None or needs in p["about"]]
    plot = rng.choice(plots)
    values = _character("hero", rng, {}, "hero" in named)
    values |= _character("friend", rng, values, "friend" in named)
    for slot in ("thing", "place", "food", "skill", "weather", "home"):
        values[slot] = rng.choice(content[slot])
    beats = [content["opening"], *plot["beats"]]
    text = [expand(beat, rng, values) for beat in beats]
    text[-1] = f"{text[-1]} {expand(content['ending'], rng, values)}".strip()
    return Story(_laid_out(text, values, rng), values, plot)


def _laid_out(beats: list[str], values: dict[str, str], rng: Random) -> str:
    """The beats as one paragraph or as several.

    No paragraph but the first begins with a name: a name without a blank before it is cut into
    other tokens than everywhere else in the story, and is hard to copy.
    """
    layout = rng.random()
    whole = beats[0]
    for number, beat in enumerate(beats[1:], 1):
        wanted = layout < 0.25 or (layout < 0.5 and number == 3)
        named = beat.startswith((values["hero"], values["friend"]))
        whole += ("\n\n" if wanted and not named else " ") + beat
    return whole


def _deeds(rng: Random) -> dict[str, str]:
    """What a person wants the hero to do: `does` and `do`, at times made-up verbs.

    With made-up ones too, the model learns that a name ends before the next word, whatever it is.
    """
    content = load("story_requests")
    deeds = {"does": rng.choice(content["does"]), "do": rng.choice(content["do"])}
    if rng.random() < 0.3:
        verb = made_up(rng)
        return {"does": f"{verb}s" + rng.choice(("", "", f" {deeds['does']}")), "do": verb}
    return deeds


def asked_by_name(rng: Random) -> tuple[str, Story]:
    """A request for a story about somebody with a name, in any of many ways, and that story."""
    content = load("story_requests")
    ask = rng.choice(content["ask"])
    told = story(rng, named=("hero", "friend") if "<friend>" in ask else ("hero",))
    values = told.values | _deeds(rng)
    values["who"] = expand(content["who"], rng, values)
    if rng.random() < 0.35:
        ask = re.sub("( who|,? and <hero_he>| and)? <does>", "", ask)
    question = capital(expand(ask, rng, values))
    return question, told


def asked(rng: Random) -> Talk:
    """A request for a story, with or without wishes, and a story that grants them."""
    content = load("stories")
    if rng.random() < 0.5:
        question, told = asked_by_name(rng)
        return [Turn(question, told.text)]
    wish = rng.choice(content["wish"])
    told = story(rng, wish.get("needs"), tuple(slots(wish["text"])))
    about = f" {expand(wish['text'], rng, told.values)}".rstrip()
    question = expand(rng.choice(content["ask"]), rng, {"about": about})
    if rng.random() < 0.1:
        head = expand(content["head"], rng, told.values)
        return [Turn(question, f"{head}\n\n{told.text}")]
    return [Turn(question, told.text)]


def plain(rng: Random) -> str:
    """A story as running text, at times under a title."""
    told = story(rng)
    if rng.random() < 0.1:
        title = f"{capital(article(told.values['hero_like']))} {told.values['hero_kind']}"
        return f"{title}\n\n{told.text}"
    return told.text
