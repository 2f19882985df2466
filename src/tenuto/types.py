"""The types of the Python client, in the same place as in the official package."""

from tenuto.client.pages import AsyncPage, SyncPage
from tenuto.client.types import (
    AnthropicBeta,
    Completion,
    CompletionCreateParams,
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
    MetadataParam,
    Model,
    ModelInfo,
)

__all__ = [
    "AnthropicBeta",
    "AsyncPage",
    "Completion",
    "CompletionCreateParams",
    "CompletionCreateParamsNonStreaming",
    "CompletionCreateParamsStreaming",
    "MetadataParam",
    "Model",
    "ModelInfo",
    "SyncPage",
]
