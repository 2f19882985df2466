"""Formats of weights in GGUF files, by the numbers of the specification."""

from __future__ import annotations

from typing import Final, NamedTuple


class TensorType(NamedTuple):
    """Format of weights, its block in weights and in bytes, and its `general.file_type` if any."""

    name: str
    block: int
    block_bytes: int
    file_type: int | None = None


TENSOR_TYPES: Final = {
    0: TensorType("F32", 1, 4, 0),
    1: TensorType("F16", 1, 2, 1),
    2: TensorType("Q4_0", 32, 18, 2),
    3: TensorType("Q4_1", 32, 20, 3),
    6: TensorType("Q5_0", 32, 22, 8),
    7: TensorType("Q5_1", 32, 24, 9),
    8: TensorType("Q8_0", 32, 34, 7),
    9: TensorType("Q8_1", 32, 40),
    10: TensorType("Q2_K", 256, 84, 10),
    11: TensorType("Q3_K", 256, 110),
    12: TensorType("Q4_K", 256, 144),
    13: TensorType("Q5_K", 256, 176),
    14: TensorType("Q6_K", 256, 210, 18),
    15: TensorType("Q8_K", 256, 292),
    16: TensorType("IQ2_XXS", 256, 66, 19),
    17: TensorType("IQ2_XS", 256, 74, 20),
    18: TensorType("IQ3_XXS", 256, 98, 23),
    19: TensorType("IQ1_S", 256, 50, 24),
    20: TensorType("IQ4_NL", 32, 18, 25),
    21: TensorType("IQ3_S", 256, 110, 26),
    22: TensorType("IQ2_S", 256, 82, 28),
    23: TensorType("IQ4_XS", 256, 136, 30),
    24: TensorType("I8", 1, 1),
    25: TensorType("I16", 1, 2),
    26: TensorType("I32", 1, 4),
    27: TensorType("I64", 1, 8),
    28: TensorType("F64", 1, 8),
    29: TensorType("IQ1_M", 256, 56, 31),
    30: TensorType("BF16", 1, 2, 32),
    34: TensorType("TQ1_0", 256, 54, 36),
    35: TensorType("TQ2_0", 256, 66, 37),
    39: TensorType("MXFP4", 32, 17, 38),
    40: TensorType("NVFP4", 64, 36),
    41: TensorType("Q1_0", 128, 18),
}

# `general.file_type` of mixtures of several formats.
_MIXTURES: Final = {
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    21: "Q2_K_S",
    22: "IQ3_XS",
    27: "IQ3_M",
    29: "IQ2_M",
}

FILE_TYPES: Final = _MIXTURES | {
    each.file_type: each.name for each in TENSOR_TYPES.values() if each.file_type is not None
}

# Numbers that llama.cpp no longer reads: (name, the format that it repacks instead or None).
REMOVED_TYPES: Final[dict[int, tuple[str, str | None]]] = {
    4: ("Q4_2", None),
    5: ("Q4_3", None),
    31: ("Q4_0_4_4", "Q4_0"),
    32: ("Q4_0_4_8", "Q4_0"),
    33: ("Q4_0_8_8", "Q4_0"),
    36: ("IQ4_NL_4_4", "IQ4_NL"),
    37: ("IQ4_NL_4_8", "IQ4_NL"),
    38: ("IQ4_NL_8_8", "IQ4_NL"),
}
