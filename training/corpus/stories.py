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
    """A story with the values of its slots (hero, thing, place…) and its plot."""

    text: str
    values: dict[str, str]
    plot: dict[str, Any]


def _kind(sex: str, rng: Random, strange: bool) -> str:
    """Return the kind of a character: girl, boy, beast or, if `strange`, another named being."""
    if strange and rng.random() < 0.3:
        return rng.choice([*load("story_requests")["people"], *load("words")["animal"]])
    return rng.choice(load("stories")["beasts"]) if rng.random() < 0.6 else sex


def _character(prefix: str, rng: Random, taken: dict[str, str], strange: bool) -> dict[str, str]:
    """Return name, noun, adjective and pronouns of a character, as slots that begin with `prefix`.

    `strange` names occur only in the request too: the model must copy any name, but must not make
    up names, because some would never end.
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
    """Return one story of 80 to 160 words; with `needs`, its plot is about that slot (``thing``…).

    The characters in `named` (``hero``, ``friend``) may have strange names.
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
    """Return the beats as one paragraph or as several.

    Only the first paragraph may begin with a name, because a name without a blank before it has
    other tokens than in the rest of the story and is hard to copy.
    """
    layout = rng.random()
    whole = beats[0]
    for number, beat in enumerate(beats[1:], 1):
        breaks = layout < 0.25 or (layout < 0.5 and number == 3)
        named = beat.startswith((values["hero"], values["friend"]))
        whole += ("\n\n" if breaks and not named else " ") + beat
    return whole


def _deeds(rng: Random) -> dict[str, str]:
    """Return the requested deed of the hero as slots `does` and `do`, sometimes made-up verbs.

    Made-up verbs train the model to end a name before any next word.
    """
    content = load("story_requests")
    deeds = {"does": rng.choice(content["does"]), "do": rng.choice(content["do"])}
    if rng.random() < 0.3:
        verb = made_up(rng)
        return {"does": f"{verb}s" + rng.choice(("", "", f" {deeds['does']}")), "do": verb}
    return deeds


def request_by_name(rng: Random) -> tuple[str, Story]:
    """Return a request for a story about a named hero, and that story."""
    content = load("story_requests")
    ask = rng.choice(content["ask"])
    tale = story(rng, named=("hero", "friend") if "<friend>" in ask else ("hero",))
    values = tale.values | _deeds(rng)
    values["who"] = expand(content["who"], rng, values)
    if rng.random() < 0.35:
        ask = re.sub("( who|,? and <hero_he>| and)? <does>", "", ask)
    question = capital(expand(ask, rng, values))
    return question, tale


def requested(rng: Random) -> Talk:
    """Return a request for a story, with or without wishes, and a matching story."""
    content = load("stories")
    if rng.random() < 0.5:
        question, tale = request_by_name(rng)
        return [Turn(question, tale.text)]
    wish = rng.choice(content["wish"])
    tale = story(rng, wish.get("needs"), tuple(slots(wish["text"])))
    about = f" {expand(wish['text'], rng, tale.values)}".rstrip()
    question = expand(rng.choice(content["ask"]), rng, {"about": about})
    if rng.random() < 0.1:
        head = expand(content["head"], rng, tale.values)
        return [Turn(question, f"{head}\n\n{tale.text}")]
    return [Turn(question, tale.text)]


def plain(rng: Random) -> str:
    """Return a story as running text, sometimes with a title."""
    tale = story(rng)
    if rng.random() < 0.1:
        title = f"{capital(article(tale.values['hero_like']))} {tale.values['hero_kind']}"
        return f"{title}\n\n{tale.text}"
    return tale.text
