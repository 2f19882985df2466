"""The tokenizer of a model for OpenVINO, run as the model that it is.

The one that `openvino_genai` gives keeps Python's lock while it works, and keeps only the last
8,192 tokens of a text, whatever it is asked for: as measured with release 2026.4. This one does
neither, and gives the same tokens.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Collection, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from tenuto.engine.local.ir import TOKENIZER
from tenuto.engine.local.runtimes.openvino import library as openvino_library
from tenuto.engine.local.runtimes.openvino.temporary import temporary_folder

# More tokens than any text has.
_NO_LIMIT: Final = 2**31 - 1

# The input of the operation that splits a text at special tokens which says where, and a pattern
# for nowhere.
_PATTERN_INPUT: Final = 5
_NOTHING: Final = "(?!)"

_EXTENSION: Final = Path("lib") / "libopenvino_tokenizers.so"


class OpenVinoTokenizer:
    """Text -> token ids. Its calls may come from several threads at once, and let others run.

    Args:
        path: A GGUF file, or a folder of OpenVINO's.
        control: The texts of control tokens.
        pieces: The texts of user-defined tokens: ordinary text, though it is always taken for them.

    Raises:
        RuntimeError: It cannot be read.
        NoFolder: It is a GGUF file, and no folder is writable.
    """

    def __init__(
        self, path: Path, control: Collection[str] = (), pieces: Collection[str] = ()
    ) -> None:
        ov, genai = openvino_library.load()
        self._ov = ov
        self._core = ov.Core()
        self._core.add_extension(_extension())
        with contextlib.ExitStack() as stack:
            if path.is_dir():
                folder, tokenizer = path, genai.Tokenizer(path)
            else:
                # The library writes the tokenizer beside the file that it reads.
                folder = stack.enter_context(temporary_folder())
                link = folder / "model.gguf"
                link.symlink_to(path.absolute())
                tokenizer = genai.Tokenizer(link, enable_save_ov_model=True)
            self._network = self._core.read_model(folder / f"{TOKENIZER}.xml")
            _lift_limit(ov, self._network)
            texts = [*control, *pieces]
            if not (path.is_dir() or all(map(str.isascii, texts))):
                # The library escapes each byte of them, and its pattern then matches nothing.
                _split_at(ov, self._network, texts)
            self._model = self._compiled(self._network)
        self._pieces = pieces
        self._plain_model: Any = None
        self._making_plain = threading.Lock()
        # A request takes one text at a time.
        self._of_thread = threading.local()
        # Such characters at the end are lost on the way into a tensor of text.
        self._nul: list[int] = _ids(tokenizer.encode("\0", add_special_tokens=False).input_ids)

    def encode(self, text: str, *, plain: bool = False) -> list[int]:
        """The tokens of a text; without one that begins it, unless a folder's adds it.

        Args:
            text: Any text.
            plain: Whether text that spells a control token is ordinary text.
        """
        body = text.rstrip("\0")
        ids: list[int] = []
        if body:
            request = self._request("plain" if plain else "whole")
            request.set_input_tensor(self._ov.Tensor([body]))
            request.infer()
            ids = _ids(request.get_tensor("input_ids"))
        return ids + self._nul * (len(text) - len(body))

    def _request(self, kind: str) -> Any:
        if not hasattr(self._of_thread, kind):
            model = self._plain() if kind == "plain" else self._model
            setattr(self._of_thread, kind, model.create_infer_request())
        return getattr(self._of_thread, kind)

    def _plain(self) -> Any:
        """The network that finds no control tokens, made when it is first needed."""
        with self._making_plain:
            if self._plain_model is None:
                network = self._network.clone()
                _split_at(self._ov, network, self._pieces)
                self._plain_model = self._compiled(network)
            return self._plain_model

    def _compiled(self, network: Any) -> Any:
        properties = {"INFERENCE_NUM_THREADS": 1}  # it computes nothing in parallel
        return self._core.compile_model(network, "CPU", properties)


def _ids(tensor: Any) -> list[int]:
    ids: list[int] = tensor.data[0].tolist()
    return ids


def _extension() -> Path:
    """The library with the operations that tokenizers are made of."""
    # Found, not imported: the package imports much more than is needed.
    found = find_spec("openvino_tokenizers")
    if found is None or found.origin is None:
        raise RuntimeError("openvino_tokenizers is not installed")
    return Path(found.origin).parent / _EXTENSION


def _lift_limit(ov: Any, model: Any) -> None:
    """Replaces the number of tokens that a text is cut down to."""
    for operation in model.get_ops():
        if operation.get_type_name() == "Minimum":
            limit = operation.input_value(1).get_node()
            endless = ov.opset13.constant(_NO_LIMIT, limit.get_element_type())
            operation.input(1).replace_source_output(endless.output(0))


def _split_at(ov: Any, model: Any, texts: Iterable[str]) -> None:
    """Replaces the texts that a text is split at before all else, each of which is a token."""
    import numpy as np

    longest_first = sorted(texts, key=len, reverse=True)
    pattern = f"({'|'.join(map(re.escape, longest_first))})" if longest_first else _NOTHING
    data = np.frombuffer(pattern.encode(), np.uint8)
    for operation in model.get_ops():
        if operation.get_type_name() == "SpecialTokensSplit":
            constant = ov.opset13.constant(data)
            operation.input(_PATTERN_INPUT).replace_source_output(constant.output(0))
