"""Client libraries of others, and what of each is the Text Completions API.

A pattern counts only in a file that imports the library, because `complete` and
`CompletionRequest` are common names. None matches what a library has for the Messages API.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tenuto.migrate.evidence import OLD_ON_BEDROCK


@dataclass(frozen=True)
class Client:
    """A client library.

    Attributes:
        word: A text without which the file does not use it: it is looked for first.
        imported: The pattern of its import, or of its type with the full name.
        old: The pattern of the calls and types that are the old API.
        given: What the arguments of a call contain if it is the old API, or None.
        without: What they contain if it is not, or None.
    """

    word: str
    imported: re.Pattern[str]
    old: re.Pattern[str]
    given: re.Pattern[str] | None = None
    without: re.Pattern[str] | None = None


def _client(
    word: str, imported: str, old: str, given: str | None = None, without: str | None = None
) -> Client:
    return Client(
        word,
        re.compile(imported, re.MULTILINE),
        re.compile(old),
        re.compile(given) if given else None,
        re.compile(without) if without else None,
    )


_GO: Final = (
    # github.com/liushuangls/go-anthropic, v1 and v2: complete.go, complete_stream.go.
    _client(
        *("liushuangls/go-anthropic", r"\"github\.com/liushuangls/go-anthropic[/\"]"),
        r"\.CreateComplete(?:Stream)?(?=\()|\.Complete(?:Stream)?Request(?=\{)",
    ),
    # github.com/madebywelch/anthropic-go, v1 to v4: the examples of completions.
    _client(
        *("madebywelch/anthropic-go", r"\"github\.com/madebywelch/anthropic-go/"),
        r"\bNewCompletionRequest(?=\()|"
        r"(?:[cC]lient|[aA]nthropic|[cC]laude)\.Complete(?:Stream)?(?=\()",
    ),
    # github.com/fabiustech/anthropic: client.go, request.go; its package v3 is the Messages API.
    _client(
        *("fabiustech/anthropic", r"\"github\.com/fabiustech/anthropic\""),
        r"\.New(?:Streaming)?Completion(?:StreamedBatchResponse)?(?=\()|"
        r"\banthropic\.Request(?=\{)",
    ),
    # github.com/dleviminzi/anthrogo: complete.go; before it had messages, `Complete`.
    _client(
        *("anthrogo", r"\"github\.com/dleviminzi/(?:go-anthropic|anthrogo)\"|^package anthrogo\b"),
        r"\.(?:Streaming)?CompletionRequest(?=\()|\banthrogo\.Complet(?:e|ion)Payload(?=\{)|"
        r"\.(?:Complete|StreamComplete)(?=\([^()]{0,99}(?:\(\))?[^()]{0,99}\banthrogo\.CompletePayload)",
    ),
    # github.com/3JoB/anthropic-sdk-go: sender.go; it has no other API.
    _client(
        *("3JoB/anthropic-sdk-go", r"\"github\.com/3JoB/anthropic-sdk-go[/\"]"),
        r"\b(?:anthropic|resp)\.(?:Sender|Opts)(?=\{)",
    ),
    # github.com/tmc/langchaingo: llms/anthropic/anthropicllm_option.go.
    _client(
        *("langchaingo", r"\"github\.com/tmc/langchaingo/llms/anthropic\""),
        r"\bWithLegacyTextCompletionsAPI(?=\()",
    ),
    # github.com/anthropics/anthropic-sdk-go: completion.go.
    _client(
        *("anthropic-sdk-go", r"\"github\.com/anthropics/anthropic-sdk-go\""),
        r"\banthropic\.CompletionNewParams(?=\{)",
    ),
)
_GO_FRAMEWORKS: Final = (
    # github.com/hupe1980/golc: integration/anthropic/anthropic.go.
    _client(
        *("golc/integration/anthropic", r"\"github\.com/hupe1980/golc/integration/anthropic\""),
        r"\.CreateCompletion(?=\()|&?\banthropic\.Completion(?:Request|Response)(?=\{)",
    ),
    # model/llm/bedrock.go, model/chatmodel/anthropic.go. Its chat model of Bedrock is another.
    _client(
        *("hupe1980/golc", r"\"github\.com/hupe1980/golc/model/(?:llm|chatmodel)\""),
        r"\bllm\.NewBedrockAnthropic(?=\()|\bchatmodel\.NewAnthropic(?:FromClient)?(?=\()",
    ),
)
_CSHARP: Final = (
    # Anthropic.SDK by tghamm, up to 1.x: README.md, Completions/CompletionsEndpoint.cs.
    _client(
        *("Anthropic.SDK", r"\b(?:using|namespace)\s+Anthropic\.SDK\b"),
        r"\.(?:Get|Stream)ClaudeCompletionAsync(?=\()|\bnew\s+SamplingParameters\b",
    ),
    # LLMSharp.Anthropic: IAnthropicClient.cs; it has no other API.
    _client(
        *("LLMSharp.Anthropic", r"\b(?:using|namespace)\s+LLMSharp\.Anthropic\b"),
        r"\.Get(?:Raw)?(?:Streaming)?Completions\w*Async(?=\()|"
        r"\bnew\s+AnthropicCreate(?:Non)?StreamingCompletionParams\b|"
        r"\bConstants\.COMPLETIONS_ENDPOINT\b",
    ),
    # Anthropic.Net by tinonetic: AnthropicApiClient.cs, CompletionRequest.cs.
    _client(
        *("Anthropic.Net", r"\b(?:using|namespace)\s+Anthropic\.Net\b"),
        r"\.CompletionAsync(?=\()|\bnew\s+CompletionRequest\b",
    ),
    # Anthropic by tryAGI, up to 0.2: README.md; later versions have messages.
    _client(
        *("using Anthropic", r"\busing\s+Anthropic;"),
        r"\.CompleteAsync(?=\(\s*new\s+CreateCompletionRequest\b)|"
        r"\bnew\s+CreateCompletionRequest\b",
    ),
    # Rockhead.Extensions by fbouteruche: AmazonBedrockRuntimeClientExtension.cs; the methods of the
    # Messages API have `Messages` in their names.
    _client(
        *("Rockhead.Extensions", r"\busing\s+Rockhead\.Extensions\b"),
        r"\.InvokeClaude(?:WithResponseStream)?Async(?=\()",
    ),
    # Anthropic, the official package from version 10: Services/Completions.
    _client(
        *("using Anthropic", r"\busing\s+(?:\w+\s*=\s*)?Anthropic(?:;|\.Models\.Completions\b)"),
        r"(?<!OpenAI)(?<!openai)(?<!Chat)\.Completions\s*\.\s*Create(?:Streaming)?(?=\()|"
        r"\bCompletionCreateParams\b(?=\s+\w+\s*=|\s*[({])",
    ),
)
_SWIFT: Final = (
    # SwiftAnthropic by jamesrochabrun: README.md, AnthropicAPI.swift.
    _client(
        *("nthropic", r"\bimport\s+SwiftAnthropic\b|\bAnthropicAPI\s*\("),
        r"(?<!func )\bcreate(?:Stream)?TextCompletion(?=\()|\bTextCompletionParameter(?=\()|"
        r"\bapiPath:\s*\.textCompletions\b",
    ),
)
_ELIXIR: Final = (
    # anthropic by connorjacobsen: lib/anthropic/completions.ex.
    _client(
        *("Anthropic.", r"\bAnthropic\.(?:Completions\b|\{[^}]{0,200}\bCompletions\b)"),
        r"\bCompletions\.create(?=\()",
    ),
    # anthropic_ex: lib/anthropic_ex/chat_completion.ex makes a prompt of messages.
    _client(
        *("AnthropicEx", r"\bAnthropicEx\.(?:ChatCompletion\b|\{[^}]{0,200}\bChatCompletion\b)"),
        r"(?<!OpenaiEx\.)\bChatCompletion\.(?:create|new)(?=\()",
    ),
)
_PHP: Final = (
    # mozex/anthropic-laravel: its facade has what the client of mozex/anthropic-php has.
    _client(
        *("Anthropic::completions", r"\bAnthropic(?:;|::)", r"\bAnthropic::completions\(\)"),
    ),
    # jordandalton/anthropic-sdk-php: README.md; it has no other API.
    _client(
        *("AnthropicSdkPhp", r"\bJordanDalton\\AnthropicSdkPhp\b"),
        r"->completions\(\)\s*->\s*create(?=\()",
    ),
    # alle-ai/anthropic-api-php: src/AnthropicAPI.php; another endpoint is the second argument.
    _client(
        *("Alle_AI", r"\bAlle_AI\\Anthropic\b"),
        *(r"->generateText(?=\()", None, r"['\"]messages['\"]"),
    ),
)
_JVM: Final = (
    # com.anthropic:anthropic-java, the official library: models/completions/Completion.kt.
    _client(
        *("com.anthropic", r"\bcom\.anthropic\.models\.(?:completions\.)?Completion"),
        r"\bCompletion\.builder(?=\()|:\s*CompletionCreateParams\b(?=\s*[,)])|"
        r"\bCompletionCreateParams\s+\w+\s*[,)]",
    ),
    # com.klaude:klaude by paulotaylor: KlaudeClient.kt; it has no other API.
    _client(
        *("com.klaude", r"\bimport\s+com\.klaude\."),
        r"\bKlaudeClient\.Builder(?=\()|\b[kK]laude\w*\s*\.(?:complete|chat|execute)(?=\()",
    ),
    # dev.langchain4j:langchain4j-bedrock: internal/AbstractBedrockStreamingChatModel.java; the
    # class whose name has `Message` is the other one.
    _client(
        *("langchain4j.model.bedrock", r"\bimport\s+dev\.langchain4j\.model\.bedrock\."),
        r"\bBedrockAnthropic(?:Completion|Streaming)?ChatModel\s*\.\s*builder(?=\()",
    ),
    # org.springframework.ai:spring-ai-bedrock before 1.0: AnthropicChatBedrockApi.java; the names
    # of the Messages API have a 3.
    _client(
        *("ai.bedrock.anthropic.", r"\bimport\s+org\.springframework\.ai\.bedrock\.anthropic\."),
        r"\bnew\s+(?:AnthropicChatBedrockApi|BedrockAnthropicChatClient)(?=\()",
    ),
)
_RUST: Final = (
    # anthropic, up to 0.0.8: src/client.rs, and the example of its documentation.
    _client(
        *("anthropic::", r"\banthropic::(?:client|types|config)\b"),
        r"(?:client|anthropic|claude)\w{0,20}\s*\.complete(?:_stream)?(?=\()|"
        r"\bCompleteRequestBuilder::default(?=\()|"
        r"(?<!struct )(?<!for )\bCompleteRequest(?=\s*\{\s*\w+\s*[:,])",
    ),
    # anthropic-rust-sdk: src/resources/completions.rs.
    _client(
        *("anthropic_rust_sdk", r"\banthropic_rust_sdk\b"),
        r"\.completions\(\)\s*\.create(?=\()|(?<!struct )\bCompletionCreateParams(?=\s*\{)",
    ),
)
_RUBY: Final = (
    # anthropic before 1.0 and ruby-anthropic, by alexrudall: README.md.
    _client(
        *("Anthropic", r"\bAnthropic::\w{0,20}Client\b|require\s+[\"']anthropic[\"']"),
        r"\w\.complete(?=\(\s*parameters:)|\bAnthropic::Client\.new\.complete\b",
    ),
    # anthropic from 1.0, the official gem: resources/completions.rb.
    _client(
        *("Anthropic", r"\bAnthropic::\w{0,20}Client\b|require\s+[\"']anthropic[\"']"),
        r"\b(?:anthropic|claude)\w*\.completions\.(?:create|stream|stream_raw)(?=\()",
    ),
    # langchainrb: lib/langchain/llm/anthropic.rb, whose `chat` is the Messages API.
    _client(
        *("Langchain::LLM::Anthropic", r"\bLangchain::LLM::Anthropic\.new\b"),
        r"\b(?:anthropic|claude)\w*\.complete(?=\(\s*prompt:)",
    ),
    # anthropic-rb by dickdavis: README.md.
    _client(
        "Anthropic.completions",
        r"\bAnthropic\.(?:setup|completions)\b",
        r"\bAnthropic\.completions\.create(?=\()",
    ),
)
_R: Final = (
    # claudeR by yrvelez: R/functions.R has the old API for these models.
    _client(
        *("claudeR", r"\blibrary\(\s*[\"']?claudeR\b|\brequire\(\s*[\"']?claudeR\b|\bclaudeR::"),
        *(r"\bclaudeR(?=\()", r"[\"']claude-(?:v?[12]\b|instant)"),
    ),
)
_LISP: Final = (
    # anthropic by mark-watson: anthropic.lisp, README.md.
    _client("anthropic:completions", r"\(anthropic:", r"\(anthropic:completions\b"),
)
_JS: Final = (
    # @axflow/models: dist/anthropic/completion.
    _client(
        *("@axflow/models", r"@axflow/models/anthropic/completion\b"),
        r"\bAnthropicCompletion\.(?:run|stream\w*)(?=\()",
    ),
    # modelfusion while it had this vendor: examples/basic/src/model-provider/anthropic.
    _client(
        *("modelfusion", r"[\"']modelfusion[\"']"),
        r"\banthropic\s*\.TextGenerator(?=\()|\bnew\s+AnthropicTextGenerationModel(?=\()",
    ),
    # anthropic-bedrock by mustafaaljadery: typescript/README.md; it has no other API.
    _client(
        *("anthropic-bedrock", r"[\"']anthropic-bedrock[\"']"),
        r"\.(?:Chat)?Completion\.create(?=\()",
    ),
    # langchain and @langchain/community: utils/bedrock; chat models have messages.
    _client(
        *("llms/bedrock", r"[\"'](?:langchain|@langchain/community)/llms/bedrock(?:/web)?[\"']"),
        *(r"\bnew\s+Bedrock(?=\()", OLD_ON_BEDROCK),
    ),
    # langchain up to 0.0: chat_models/anthropic; `@langchain/anthropic` has messages.
    _client(
        *("chat_models/anthropic", r"[\"']langchain/chat_models/anthropic[\"']"),
        r"\bnew\s+ChatAnthropic(?=\()",
    ),
    # @anthropic-ai/sdk up to 0.4: the methods of its client.
    _client(
        *("@anthropic-ai/sdk", r"[\"']@anthropic-ai/sdk[\"']"),
        r"\b(?:anthropic|claude)(?:Client)?\.complete(?:Stream)?(?=\()",
    ),
)

# `gs` is Google Apps Script.
JAVASCRIPT: Final = (
    *("js", "jsx", "ts", "tsx", "mjs", "cjs", "mts", "cts", "vue", "svelte", "astro", "gs"),
)
CLIENTS: Final[dict[str, tuple[Client, ...]]] = {
    "go": (*_GO, *_GO_FRAMEWORKS),
    **dict.fromkeys(("cs", "razor", "cshtml"), _CSHARP),
    "swift": _SWIFT,
    **dict.fromkeys(("ex", "exs"), _ELIXIR),
    "php": _PHP,
    **dict.fromkeys(("java", "kt", "kts", "scala", "groovy"), _JVM),
    "rs": _RUST,
    **dict.fromkeys(("rb", "rake"), _RUBY),
    "r": _R,
    **dict.fromkeys(("lisp", "cl"), _LISP),
    **dict.fromkeys(JAVASCRIPT, _JS),
}
"""The client libraries by the kinds of files."""
