"""Builds the tokenizer and turns the corpus into numbers.

    python -m training.tokenizer CORPUS.jsonl RUN_DIRECTORY

In: a JSONL file with one JSON string, one document, a line. Out, in the run directory:

- `tokenizer.json`: byte-level BPE, as the library `tokenizers` writes it;
- `tokens.npy` (uint16): all documents one after the other, each preceded by the end token;
- `offsets.npy` (int64): where each document begins in `tokens.npy`, and its length as last entry.
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

# Stands before every document and ends a text. The server's engine recognises this name inside a
# prompt, so it is one that nobody types by accident (unlike `<|endoftext|>`).
END_TOKEN = "<|tenuto:end|>"
END_ID = 0

VOCABULARY = 4096
BLANK_SHARE = 0.04
DRAWN_SHARE = 0.12  # documents of random tokens to be copied, beside those of the corpus
SAYING = 2  # of the patterns for those, so many may have several words
CHUNK = 10_000  # documents encoded at once: enough to use all cores, few enough to stay small

ANSWER_MARK = "\n\nAssistant: "


def read_documents(path: Path) -> Iterator[str]:
    """Yields the documents of a JSONL file without ever holding the whole file."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def sample_documents(path: Path, size: int, seed: int = 2) -> list[str]:
    """Returns `size` documents, each as likely as any other (reservoir sampling)."""
    rng = random.Random(seed)
    sample: list[str] = []
    for seen, document in enumerate(read_documents(path)):
        if seen < size:
            sample.append(document)
        elif (place := rng.randrange(seen + 1)) < size:
            sample[place] = document
    return sample


def splitting() -> pre_tokenizers.PreTokenizer:
    """Returns the rule for where a text is cut before merges apply: what GGUF calls `smollm`.

    Every digit stands alone, and the rest is split by the pattern of GPT-2. OpenVINO GenAI knows
    few rules: this one it applies just as llama.cpp does, whereas for `gpt-2` it takes another,
    which cuts ` 7` and `it's` otherwise than in training. Digits alone make sums easier, too.
    """
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )


def build_tokenizer(documents: Iterable[str], vocabulary: int = VOCABULARY) -> Tokenizer:
    """Learns byte-pair merges from the documents until there are `vocabulary` tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = splitting()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_TOKEN],
        # All 256 bytes, or a byte that the sample lacks would have no token at all.
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    assert tokenizer.token_to_id(END_TOKEN) == END_ID
    return tokenizer


def blank_to_split_at(document: str, rng: random.Random) -> int | None:
    """Returns where a blank that ends a prompt would be, or None if the document has no place.

    In a talk that is the blank before the last answer; in plain text, any blank between words.
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
    """Encodes a document as if a prompt ended right after the blank at this place.

    A blank normally belongs to the word that follows (`ĠHello`). A prompt that ends in a blank
    leaves it alone (`Ġ`), and a model that never saw that goes astray.
    """
    before, after = tokenizer.encode_batch([document[:blank], document[blank + 1 :]])
    lone_blank = tokenizer.token_to_id("Ġ")
    assert lone_blank is not None  # one of the 256 bytes
    return [*before.ids, lone_blank, *after.ids]


def drawn_documents(
    tokenizer: Tokenizer, seen: np.ndarray, count: int, rng: random.Random
) -> Iterator[list[int]]:
    """Yields documents in which words of random tokens have to be copied.

    Most tokens that stand for a part of a word come almost only in one word, so the network never
    learns to copy them. Here each comes beside any other, and more often the less often it has been
    `seen`, the count of each token in the corpus.
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
        for _ in range(rng.choice((1, 1, 2, 3, 4)) if number < SAYING else 1):
            for (tokens, share), most in zip(
                shares, (1, rng.choice((0, 1, 1, 2, 2, 3))), strict=True
            ):
                words += rng.choices(tokens, cum_weights=share, k=most)
        pieces = patterns[number]
        yield [*pieces[0], *(token for piece in pieces[1:] for token in (*words, *piece))]


def encode_corpus(
    tokenizer: Tokenizer, documents: Iterable[str], seed: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the tokens of all documents (uint16) and the offsets of the documents (int64).

    To the documents given it adds those of `drawn_documents`.
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
    """The command line."""
    parser = argparse.ArgumentParser(description="Build the tokenizer and encode the corpus.")
    parser.add_argument("corpus", type=Path, help="JSONL, one JSON string a line")
    parser.add_argument("run", type=Path, help="run directory; made if missing")
    parser.add_argument("--vocabulary", type=int, default=VOCABULARY)
    parser.add_argument("--reuse", type=Path, help="take this tokenizer.json and build none")
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
