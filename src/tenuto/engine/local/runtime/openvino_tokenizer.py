"""The tokenizer of a model for OpenVINO, run as the model that it is.

The one that `openvino_genai` gives keeps Python's lock while it works, and keeps only the last
8,192 tokens of a text, whatever it is asked for: as measured with release 2026.4. This one does
neither, and gives the same tokens.
"""

from __future__ import annotations

import tempfile
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from tenuto.engine.local.ir import TOKENIZER
from tenuto.engine.local.runtime import openvino_library

# More tokens than any text has.
_NO_LIMIT: Final = 2**31 - 1

_EXTENSION: Final = Path("lib") / "libopenvino_tokenizers.so"


class OpenVinoTokenizer:
    """Text -> token ids. Its calls may come from several threads at once, and let others run.

    Args:
        path: A GGUF file, or a folder of OpenVINO's.

    Raises:
        RuntimeError: It cannot be read.
        OSError: There is no room for temporary files.
    """

    def __init__(self, path: Path) -> None:
        ov, genai = openvino_library.load()
        self._ov = ov
        core = ov.Core()
        core.add_extension(_extension())
        with tempfile.TemporaryDirectory(prefix="tenuto-") as temporary:
            folder = path
            if path.is_dir():
                tokenizer = genai.Tokenizer(path)
            else:
                # The library writes the tokenizer beside the file that it reads.
                folder = Path(temporary)
                link = folder / "model.gguf"
                link.symlink_to(path.resolve())
                tokenizer = genai.Tokenizer(link, enable_save_ov_model=True)
            model = core.read_model(folder / f"{TOKENIZER}.xml")
            _lift_limit(ov, model)
            properties = {"INFERENCE_NUM_THREADS": 1}  # it computes nothing in parallel
            self._model = core.compile_model(model, "CPU", properties)
        # A request takes one text at a time.
        self._of_thread = threading.local()
        # Such characters at the end are lost on the way into a tensor of text.
        self._nul: list[int] = _ids(tokenizer.encode("\0", add_special_tokens=False).input_ids)

    def encode(self, text: str) -> list[int]:
        """The tokens of a text; without one that begins it, unless a folder's adds it."""
        body = text.rstrip("\0")
        ids: list[int] = []
        if body:
            request = self._request()
            request.set_input_tensor(self._ov.Tensor([body]))
            request.infer()
            ids = _ids(request.get_tensor("input_ids"))
        return ids + self._nul * (len(text) - len(body))

    def _request(self) -> Any:
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._model.create_infer_request()
        return self._of_thread.request


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
