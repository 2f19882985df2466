"""Random settings files and environments: each loads, or fails with lines that name the error.

Files are made from the names of all settings, from names near them, and from values of every kind
that TOML has; then some are damaged as bytes. Secrets are planted wherever a file or a variable may
hold one: no message may repeat them.
"""

from __future__ import annotations

import functools
import json
import random
import string
import tempfile
import time
from collections import Counter
from dataclasses import fields
from pathlib import Path

from tenuto.engine.upstream.route import RouteSettings
from tenuto.settings import Settings, SettingsError, load
from tenuto.settings.tree import settings_of
from tenuto.settings.upstreams import KINDS, settings_class

_SECRET = "sk-planted-0123456789abcdef"
_SECONDS = 2.0
_LONGEST_LINE = 2000

# In TOML's own spelling.
_VALUES = (
    *("true", "false", "0", "1", "-1", "8", "0x10", "1_000", "1e400", "-0.0", "0.5", "inf", "nan"),
    *("9223372036854775808", "1" * 4000, '""', '" "', '"a"', '"auto"', "'''x\ny'''", '"\\u0000"'),
    *('"\\U0001F600"', '"chat"', '"raw"', '"local"', '"routes"', '"echo"', '"0.0.0.0"', '"::"'),
    *('"[::1]"', "[]", "[[]]", '["a", 1]', '["*"]', "[1, 2.0]", "{}", "{a = {b = 1}}"),
    *("1979-05-27T07:32:00Z", "1979-05-27", "07:32:00", '"/nowhere/m.gguf"', '"hf:o/r"'),
    *('"http://["', '"http://127.0.0.1:1/v1"', '"ftp://x"', '"http://x:99999"', '"//"', '"x y"'),
    *(f'"http://user:{_SECRET}@127.0.0.1:1"', f'"{_SECRET}"', f'["{_SECRET}"]', '"$PLANTED"'),
    *('"$NOWHERE"', '"$"', f'["sha256:{"0" * 64}"]', '["sha256:é"]', f'"{_SECRET}\\n"'),
)
_HOPS = (*_VALUES, '["a0"]', '["a0:m", "b1"]', '["*"]', '["m", "c*"]', "[1, 1]", "[0]")
_TEXTS = (
    *("", " ", "0", "1", "-1", "8000", "true", "yes", "nan", "inf", "1e999", "9" * 400, "a,b", ","),
    *("tcp://10.0.0.5:8000", "10.0.0.5", "auto", "routes", "echo", "::1", "é", "\udc80", "a\nb"),
    *(_SECRET, f"{_SECRET},{_SECRET}", f"http://u:{_SECRET}@h:1", "/nowhere", "~", "[1]", "{}"),
)
_KUBERNETES = ("SERVICE_HOST", "SERVICE_PORT", "PORT", "PORT_8000_TCP", "PORT_8000_TCP_ADDR")


_NAMES = [keys for keys, _ in settings_of(Settings)]
_DEFAULTS: dict[tuple[str, ...], object] = {
    names: functools.reduce(getattr, names, Settings()) for names in _NAMES
}
_UPSTREAM_KEYS = sorted({each.name for kind in KINDS for each in fields(settings_class(kind))})
_ROUTE_KEYS = [each.name for each in fields(RouteSettings)]


def make_file(chance: random.Random) -> bytes:
    """Return a settings file: well formed, odd or damaged."""
    lines: list[str] = []
    for names in chance.sample(_NAMES, chance.choice((0, 1, 1, 2, 4, 8))):
        *section, key = names
        if key in ("upstreams", "routes") and chance.random() < 0.8:
            continue
        name = ".".join(_near(part, chance) for part in section)
        # Repeated sections are an error of TOML's; dotted keys are not.
        value = (
            _usual(_DEFAULTS[names], chance) if chance.random() < 0.8 else chance.choice(_VALUES)
        )
        lines.append(f"{name}.{_near(key, chance)} = {value}")
    if chance.random() < 0.3:
        lines.insert(0, 'engine.name = "routes"')
    for index in range(chance.choice((0, 0, 1, 2))):
        name = chance.choice((f"a{index}", f"b{index}", f'"x y{index}"', '""'))
        kind = chance.choice([*map(json.dumps, KINDS)] * 99 + [*_VALUES])
        lines += [f"[engine.upstreams.{name}]", f"kind = {kind}"]
        if chance.random() < 0.95:
            lines.append('base_url = "http://127.0.0.1:1"')
        keys = chance.sample(_UPSTREAM_KEYS, chance.choice((0, 0, 1, 3)))
        lines += [f"{_near(key, chance)} = {chance.choice(_VALUES)}" for key in keys]
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        keys = chance.sample(_ROUTE_KEYS, chance.randrange(1, len(_ROUTE_KEYS)))
        lines += ["[[engine.routes]]", *(f"{key} = {chance.choice(_HOPS)}" for key in keys)]
    text = "\n".join(lines)
    match chance.randrange(40):
        case 0:
            return b"\xef\xbb\xbf" + text.encode()
        case 1:
            return text.encode("utf-16")
        case 2:
            return text.replace("\n", "\r\n").encode()
        case 3:
            data = bytearray(text.encode())
            for _ in range(chance.randrange(1, 6)):
                if data:
                    data[chance.randrange(len(data))] = chance.randrange(256)
            return bytes(data)
        case 4:
            return text.encode()[: chance.randrange(len(text) + 1)]
        case 5:
            return text.encode() + b"[" * chance.choice((1, 1000, 100_000))
        case _:
            return text.encode()


def make_environment(chance: random.Random) -> dict[str, str]:
    """Return variables: settings, names near them, and those of orchestrators."""
    found = {"PLANTED": chance.choice((_SECRET, f"{_SECRET}\n", "", "é"))}
    for _ in range(chance.choice((0, 0, 1, 1, 2, 5))):
        names = chance.choice(_NAMES)
        name = "_".join(names).upper()
        usual = _usual(_DEFAULTS[names], chance).strip('[]"')
        if chance.random() < 0.1:
            name = _near(name, chance)
        if chance.random() < 0.15:
            name = f"{chance.choice(('', 'SERVER_', 'WEB_'))}{chance.choice(_KUBERNETES)}"
        found[f"TENUTO_{name}"] = chance.choice(_TEXTS) if chance.random() < 0.3 else usual
    return found


def _usual(default: object, chance: random.Random) -> str:
    """Return a value of a default's own kind, in TOML's spelling."""
    match default:
        case bool():
            return chance.choice(("true", "false"))
        case int() | float():
            return chance.choice((str(default), str(default + 1), str(max(1, default // 2))))
        case str():
            return json.dumps(default)
        case tuple():
            return chance.choice(("[]", '["127.0.0.1"]'))
        case _:
            return chance.choice(("1", "64", '"some.gguf"'))


def _near(name: str, chance: random.Random) -> str:
    if chance.random() > 0.06 or not name:
        return name
    at = chance.randrange(len(name))
    letter = chance.choice(string.ascii_letters + "_")
    return chance.choice((name[:at] + name[at + 1 :] or "x", name[:at] + letter + name[at:]))


def outcome(file: Path, environment: dict[str, str]) -> str:
    """Return the outcome of loading a file and an environment: "settings" or "refused".

    Raises:
        AssertionError: The message is not of lines that name something, or repeats a secret.
    """
    started = time.process_time()
    end, mistakes = "settings", tuple[str, ...]()
    try:
        load(file, environment)
    except SettingsError as error:
        end, mistakes = "refused", error.mistakes
        assert mistakes, "an error without a message"
    for line in mistakes:
        assert line.strip(), "an empty line"
        assert len(line.splitlines()) == 1, f"not one line: {line!r}"
        assert len(line) <= _LONGEST_LINE, f"a line of {len(line)} characters"
        assert _SECRET not in line, f"repeats a secret: {line!r}"
        line.encode()
    seconds = time.process_time() - started
    assert seconds < _SECONDS, f"took {seconds:.1f} s"
    return end


def main(count: int, seed: int) -> None:
    """Load many files and environments, and print how they ended.

    Raises:
        AssertionError: One ended otherwise than in settings or a clear refusal.
    """
    ends: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="tenuto-fuzz-") as folder:
        file = Path(folder) / "tenuto.toml"
        for number in range(count):
            chance = random.Random(f"{seed}/{number}")
            content, environment = make_file(chance), make_environment(chance)
            file.write_bytes(content)
            try:
                ends[outcome(file, environment)] += 1
            except Exception as error:
                error.add_note(f"settings {seed}/{number}: {content!r} {environment!r}")
                raise
    print(f"{count} settings files and environments: {dict(ends)}")
