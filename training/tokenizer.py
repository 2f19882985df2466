"""Build the tokenizer and encode the corpus.

    python -m training.tokenizer CORPUS.jsonl RUN_DIRECTORY

Input: a JSONL file with one document, a JSON string, per line. Output, in the run directory:

- `tokenizer.json`: byte-level BPE, as the library `tokenizers` writes it;
- `tokens.npy` (uint16): all documents one after the other, each preceded by the end token;
- `offsets.npy` (int64): the start of each document in `tokens.npy`, and its length as last entry.
"""

import argparse
import json
import random
from collections.abc import Iterable, Iterator
from itertools import accumulate, islice
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from training.corpus.material import load

# Begins every document and ends a text. The server's engine recognises this name inside a prompt,
# so it must not occur there by accident (unlike `<|endoftext|>`).
END_TOKEN = "<|tenuto:end|>"
END_ID = 0

VOCABULARY = 4096
BLANK_SHARE = 0.04
DRAWN_SHARE = 0.12  # documents of random tokens to copy, relative to those of the corpus
PHRASE_PATTERNS = 2  # the first patterns of those documents, which may have several words
CHUNK = 10_000  # documents encoded at once: enough for all cores, with little memory

ANSWER_MARK = "\n\nAssistant: "


def read_documents(path: Path) -> Iterator[str]:
    """Yield the documents of a JSONL file, one line at a time."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def sample_documents(path: Path, size: int, seed: int = 2) -> list[str]:
    """Return `size` documents drawn uniformly (reservoir sampling)."""
    rng = random.Random(seed)
    sample: list[str] = []
    for seen, document in enumerate(read_documents(path)):
        if seen < size:
            sample.append(document)
        elif (place := rng.randrange(seen + 1)) < size:
            sample[place] = document
    return sample


def splitting() -> pre_tokenizers.PreTokenizer:
    """Return the pre-tokenizer that GGUF calls `smollm`.

    Every digit is separate, and the pattern of GPT-2 splits the rest. OpenVINO GenAI applies this
    rule like llama.cpp; for `gpt-2` it applies another rule, which splits ` 7` and `it's` unlike
    training. Separate digits also make sums easier.
    """
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )


def build_tokenizer(documents: Iterable[str], vocabulary: int = VOCABULARY) -> Tokenizer:
    """Learn byte-pair merges from the documents up to `vocabulary` tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = splitting()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_TOKEN],
        # All 256 bytes, because a byte that is absent from the sample would have no token.
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    assert tokenizer.token_to_id(END_TOKEN) == END_ID
    return tokenizer


def blank_to_split_at(document: str, rng: random.Random) -> int | None:
    """Return the index of a blank at which a prompt could end, or None without one.

    In a talk, the blank before the last answer; in plain text, any single blank between words.
    """
    if (mark := document.rfind(ANSWER_MARK)) >= 0:
        return mark + len(ANSWER_MARK) - 1
    if "\n\nHuman:" in document:
        return None
    blank = document.find(" ", rng.randrange(len(document))) if document else -1
    is_single = 0 < blank < len(document) - 1 and not (
        document[blank - 1].isspace() or document[blank + 1].isspace()
    )
    return blank if is_single else None


def encode_split(tokenizer: Tokenizer, document: str, blank: int) -> list[int]:
    """Encode a document as if a prompt ended right after the blank at index `blank`.

    A blank normally belongs to the token of the next word (`ĠHello`). At the end of a prompt it is
    a separate token (`Ġ`), which the model must see in training.
    """
    before, after = tokenizer.encode_batch([document[:blank], document[blank + 1 :]])
    lone_blank = tokenizer.token_to_id("Ġ")
    assert lone_blank is not None  # one of the 256 bytes
    return [*before.ids, lone_blank, *after.ids]


def drawn_documents(
    tokenizer: Tokenizer, seen: np.ndarray, count: int, rng: random.Random
) -> Iterator[list[int]]:
    """Yield documents that copy words of random tokens.

    Most tokens for a part of a word occur almost only in one word, so the network does not learn to
    copy them. Here each occurs beside any other, more often the lower its count in the corpus,
    `seen`.
    """
    texts: dict[int, str] = {token: text for text, token in tokenizer.get_vocab().items()}
    plain = [n for n, text in texts.items() if text.isalpha() and text.isascii()]
    plain += [
        n
        for n, text in texts.items()
        if text[0] == "Ġ" and text[1:].isascii() and text[1:].isalpha()
    ]
    first = [n for n in plain if texts[n].startswith("Ġ")]
    later = [n for n in plain if not texts[n].startswith("Ġ")]
    patterns = [
        [tokenizer.encode(part).ids for part in entry["text"].split(" <it>")]
        for entry in load("copying")["drawn"]
    ]
    shares = [(n, list(accumulate((seen[n] + 20.0) ** -0.5))) for n in (first, later)]
    for number in rng.choices(range(len(patterns)), k=count):
        words: list[int] = []
        for _ in range(rng.choice((1, 1, 2, 3, 4)) if number < PHRASE_PATTERNS else 1):
            for (tokens, share), most in zip(
                shares, (1, rng.choice((0, 1, 1, 2, 2, 3))), strict=True
            ):
                words += rng.choices(tokens, cum_weights=share, k=most)
        pieces = patterns[number]
        yield [*pieces[0], *(token for piece in pieces[1:] for token in (*words, *piece))]


def encode_corpus(
    tokenizer: Tokenizer, documents: Iterable[str], seed: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Return the tokens of all documents (uint16) and the offsets of the documents (int64).

    The documents of `drawn_documents` follow those of the corpus.
    """
    rng = random.Random(seed)
    pieces: list[np.ndarray] = []
    lengths: list[int] = [0]
    source = iter(documents)
    while chunk := list(islice(source, CHUNK)):
        ids: list[int] = []
        for document, encoding in zip(chunk, tokenizer.encode_batch_fast(chunk), strict=True):
            document_ids = encoding.ids
            if rng.random() < BLANK_SHARE:
                blank = blank_to_split_at(document, rng)
                if blank is not None:
                    document_ids = encode_split(tokenizer, document, blank)
            ids.append(END_ID)
            ids.extend(document_ids)
            lengths.append(len(document_ids) + 1)
        pieces.append(np.array(ids, dtype=np.uint16))
    seen = np.zeros(tokenizer.get_vocab_size(), dtype=np.int64)
    for piece in pieces:
        seen += np.bincount(piece, minlength=len(seen))
    drawn = int((len(lengths) - 1) * DRAWN_SHARE)
    for document_ids in drawn_documents(tokenizer, seen, drawn, rng):
        pieces.append(np.array([END_ID, *document_ids], dtype=np.uint16))
        lengths.append(len(document_ids) + 1)
    tokens = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.uint16)
    return tokens, np.cumsum(lengths, dtype=np.int64)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Build the tokenizer and encode the corpus.")
    parser.add_argument("corpus", type=Path, help="JSONL, one JSON string a line")
    parser.add_argument("run", type=Path, help="run directory; created if missing")
    parser.add_argument("--vocabulary", type=int, default=VOCABULARY)
    parser.add_argument("--reuse", type=Path, help="use this tokenizer.json instead of a new one")
    parser.add_argument("--sample", type=int, default=60_000, help="documents to learn merges from")
    options = parser.parse_args(arguments)

    options.run.mkdir(parents=True, exist_ok=True)
    if options.reuse:
        tokenizer = Tokenizer.from_file(str(options.reuse))
    else:
        sample = sample_documents(options.corpus, options.sample)
        tokenizer = build_tokenizer(sample, options.vocabulary)
    tokenizer.save(str(options.run / "tokenizer.json"))
    tokens, offsets = encode_corpus(tokenizer, read_documents(options.corpus))
    np.save(options.run / "tokens.npy", tokens)
    np.save(options.run / "offsets.npy", offsets)
    print(
        f"{len(offsets) - 1:,} documents, {len(tokens) / 1e6:.2f} M tokens, "
        f"{options.corpus.stat().st_size / max(1, len(tokens)):.2f} bytes of JSONL a token"
    )


if __name__ == "__main__":
    main()
