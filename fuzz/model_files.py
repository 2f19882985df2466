"""Well-formed model files with wrong content: parts, templates, ids."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Final

from tests.split_files import RawFile, pair, put_together, split, split_keys, take_apart

_U16, _U32, _I32, _STRING, _U64 = 2, 4, 5, 8, 10
_TEMPLATE: Final = "tokenizer.chat_template"
_IDS: Final = [
    f"tokenizer.ggml.{name}_token_id"
    for name in ("bos", "eos", "unknown", "separator", "padding", "eot", "eom", "mask", "cls")
]
_ODD_IDS: Final = (0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1)
# A sound template, and what templates of the field go wrong with.
_SOUND: Final = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{{ message['content'] | trim }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
_PIECES: Final = (
    *("{{", "}}", "{%", "%}", "{#", "#}", "{{ 1 / 0 }}", "{{ messages[9].content }}", "\0", "é"),
    *("{{ raise_exception('no\nsystem') }}", "{% set x = namespace(a=1) %}", "{{ x.a.b.c }}"),
    *("{% for i in range(10**9) %}a{% endfor %}", "{{ 'a' * 10**9 }}", "{{ 10 ** 10 ** 10 }}"),
    *("{{ ''.__class__.__mro__ }}", "{% include 'x' %}", "{% macro m() %}{{ m() }}{% endmacro %}"),
    *("{{ strftime_now('%Y') }}", "{{ messages | tojson }}", "{{ tools | length }}", "{% endif %}"),
    "{% generation %}a{% endgeneration %}",
)


class ModelFiles:
    """Make model files from a valid one.

    Args:
        model: The sound one.
        folder: Where they go; each takes the place of the one before.
    """

    def __init__(self, model: Path, folder: Path) -> None:
        self._model = model
        self._folder = folder
        self._raw: RawFile = take_apart(model.read_bytes())

    def damaged(self, chance: random.Random) -> Path:
        """Make one; return the file that is named to load it."""
        for old in self._folder.glob("*.gguf"):
            old.unlink()
        return chance.choice((self._split, self._templated, self._numbered))(chance)

    def _split(self, chance: random.Random) -> Path:
        first, *others = parts = split(
            self._model,
            self._folder,
            max_tensors=chance.choice((1, 7, 20, 28, 128)),
            no_tensor_first_split=chance.random() < 0.3,
        )
        part = chance.choice(others or parts)
        raw = take_apart(part.read_bytes())
        match chance.randrange(8):
            case 0:
                part.unlink()
            case 1:
                part.write_bytes(part.read_bytes()[: chance.randrange(part.stat().st_size)])
            case 2:
                part.write_bytes(chance.choice(parts).read_bytes())
            case 3:
                number, count = (chance.choice((0, 1, len(parts), 2**15)) for _ in range(2))
                keys = split_keys(number, count, chance.choice((0, 1, 56, 2**31 - 1)))
                part.write_bytes(put_together(keys, raw.tensors))
            case 4:
                kept = chance.sample(raw.tensors, chance.randrange(len(raw.tensors) + 1))
                part.write_bytes(put_together(raw.pairs, tuple(kept)))
            case 5:
                return part
            case 6:
                return first.rename(self._folder / "renamed.gguf")
            case _:
                pass  # A sound one among them.
        return first

    def _templated(self, chance: random.Random) -> Path:
        text = _SOUND
        for _ in range(chance.choice((1, 1, 2, 5))):
            at = chance.randrange(len(text) + 1)
            if chance.random() < 0.5:
                text = text[:at] + chance.choice(_PIECES) + text[at:]
            else:
                text = text[:at] + text[at + chance.randrange(1, 9) :]
        data = text.encode()
        if chance.random() < 0.1:
            data = data[:5] + b"\xff" + data[5:]
        return self._with(_TEMPLATE, _STRING, struct.pack("<Q", len(data)) + data)

    def _numbered(self, chance: random.Random) -> Path:
        value = chance.choice(_ODD_IDS)
        kinds = ((_U32, "<I", value), (_I32, "<i", -1 - value % 2**31), (_U64, "<Q", value + 2**40))
        kind, form, number = chance.choice((kinds[0], *kinds))
        return self._with(chance.choice(_IDS), kind, struct.pack(form, number))

    def _with(self, key: str, kind: int, value: bytes) -> Path:
        """Write the model with another value of a key."""
        start = struct.pack("<Q", len(key)) + key.encode()
        pairs = tuple(each for each in self._raw.pairs if not each.startswith(start))
        path = self._folder / "m.gguf"
        path.write_bytes(put_together((*pairs, pair(key, kind, value)), self._raw.tensors))
        return path
