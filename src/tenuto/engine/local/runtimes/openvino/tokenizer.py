"""Tokenizer of OpenVINO, run as a network.

The `Tokenizer` of `openvino_genai` holds Python's lock while it works, and keeps only the last
8,192 tokens of a text, whatever its arguments: as measured with release 2026.4. This one does
neither, and returns the same tokens.
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

_NO_LIMIT: Final = 2**31 - 1

# Input of the operation that splits a text at special tokens: a pattern.
_PATTERN_INPUT: Final = 5
_NEVER_MATCHES: Final = "(?!)"

_EXTENSION: Final = Path("lib") / "libopenvino_tokenizers.so"


class OpenVinoTokenizer:
    """Text -> token ids. Thread-safe; releases Python's lock while it works.

    Args:
        path: A GGUF file, or a folder of OpenVINO's.
        control: Texts of control tokens.
        pieces: Texts of user-defined tokens, which are always recognised, and ordinary text.

    Raises:
        RuntimeError: The file cannot be read.
        CannotLoad: A GGUF file needs a writable folder, and none is.
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
                # The library writes the tokenizer beside the file.
                folder = stack.enter_context(temporary_folder())
                link = folder / "model.gguf"
                link.symlink_to(path.absolute())
                tokenizer = genai.Tokenizer(link, enable_save_ov_model=True)
            self._network = self._core.read_model(folder / f"{TOKENIZER}.xml")
            _lift_limit(ov, self._network)
            texts = [*control, *pieces]
            if not (path.is_dir() or all(map(str.isascii, texts))):
                # The library escapes each byte, so that its pattern does not match characters.
                _split_at(ov, self._network, texts)
            self._model = self._compiled(self._network)
        self._pieces = pieces
        self._plain_model: Any = None
        self._making_plain = threading.Lock()
        # A request takes one text at a time, so each thread has its own.
        self._of_thread = threading.local()
        # NUL characters at the end of a text are lost in a tensor of text.
        self._nul: list[int] = _ids(tokenizer.encode("\0", add_special_tokens=False).input_ids)

    def encode(self, text: str, *, plain: bool = False) -> list[int]:
        """Return the tokens of a text, without BOS unless a folder's tokenizer adds it.

        If `plain`, text that spells a control token is ordinary text.
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
        """Return the network that recognises no control tokens; compiled at first use."""
        with self._making_plain:
            if self._plain_model is None:
                network = self._network.clone()
                _split_at(self._ov, network, self._pieces)
                self._plain_model = self._compiled(network)
            return self._plain_model

    def _compiled(self, network: Any) -> Any:
        properties = {"INFERENCE_NUM_THREADS": 1}  # none of it runs in parallel
        return self._core.compile_model(network, "CPU", properties)


def _ids(tensor: Any) -> list[int]:
    ids: list[int] = tensor.data[0].tolist()
    return ids


def _extension() -> Path:
    """Return the path of the library with the operations of tokenizers."""
    # Not imported, because the package imports much more.
    found = find_spec("openvino_tokenizers")
    if found is None or found.origin is None:
        raise RuntimeError("openvino_tokenizers is not installed")
    return Path(found.origin).parent / _EXTENSION


def _lift_limit(ov: Any, model: Any) -> None:
    for operation in model.get_ops():
        if operation.get_type_name() == "Minimum":
            limit = operation.input_value(1).get_node()
            endless = ov.opset13.constant(_NO_LIMIT, limit.get_element_type())
            operation.input(1).replace_source_output(endless.output(0))


def _split_at(ov: Any, model: Any, texts: Iterable[str]) -> None:
    """Replace the special tokens at which a text is split first."""
    import numpy as np

    longest_first = sorted(texts, key=len, reverse=True)
    pattern = f"({'|'.join(map(re.escape, longest_first))})" if longest_first else _NEVER_MATCHES
    data = np.frombuffer(pattern.encode(), np.uint8)
    for operation in model.get_ops():
        if operation.get_type_name() == "SpecialTokensSplit":
            constant = ov.opset13.constant(data)
            operation.input(_PATTERN_INPUT).replace_source_output(constant.output(0))
