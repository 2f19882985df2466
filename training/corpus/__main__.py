"""``python -m training.corpus OUT.jsonl --documents N --seed S``: write the training text.

Each line of OUT is one document as a JSON string.
"""

import argparse
import json
from pathlib import Path
from random import Random

from training.corpus.documents import documents
from training.corpus.opendata import open_documents


def main() -> None:
    """Write the corpus file that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m training.corpus", description=__doc__)
    parser.add_argument("out", type=Path, help="the file to write")
    parser.add_argument(
        "--documents", type=int, default=330_000, help="number of generated documents"
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed writes the same corpus")
    parser.add_argument("--open", type=Path, help="folder with openly licensed talks to mix in")
    args = parser.parse_args()
    texts = list(documents(args.documents, args.seed))
    if args.open:
        rng = Random(args.seed)
        texts += open_documents(args.open, args.documents, rng)
        rng.shuffle(texts)
    with args.out.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(text) + "\n" for text in texts)
    print(f"{len(texts):,} documents, {args.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
