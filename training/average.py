"""Average the networks of several runs, weighted by shares.

    python -m training.average OUT_RUN RUN:SHARE RUN:SHARE ...

Input: run directories with a checkpoint, all continued from the same weights and encoded with the
same tokenizer, and their shares. Output: a run directory to export from. The mean of networks of
one training path has much of the effect of lowering the learning rate at its end.
"""

import argparse
import shutil
from pathlib import Path

import torch

from training import checkpoint


def average(out: Path, shares: list[tuple[Path, float]]) -> None:
    """Write the mean checkpoint and the tokenizer to `out`.

    Raises:
        ValueError: The shares do not add up to 1, or the tokenizers differ.
    """
    total = sum(share for _, share in shares)
    if abs(total - 1) > 1e-6:
        raise ValueError(f"the shares must add up to 1, not {total:g}")
    state = checkpoint.read(shares[0][0])
    for run, _ in shares[1:]:
        tokenizers = [(one / "tokenizer.json").read_bytes() for one in (run, shares[0][0])]
        if tokenizers[0] != tokenizers[1]:
            raise ValueError(f"{run} and {shares[0][0]} must have the same tokenizer.json")
    models = [(checkpoint.read(run)["model"], share) for run, share in shares]
    state["model"] = {
        name: sum(model[name] * share for model, share in models) for name in state["model"]
    }
    out.mkdir(parents=True, exist_ok=True)
    torch.save(state, out / checkpoint.FILE)
    shutil.copy(shares[0][0] / "tokenizer.json", out / "tokenizer.json")


def _share(text: str) -> tuple[Path, float]:
    run, _, share = text.rpartition(":")
    return Path(run), float(share)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Average the networks of several runs.")
    parser.add_argument("out", type=Path, help="the run directory to write")
    parser.add_argument("run", type=_share, nargs="+", help="RUN:SHARE, the shares adding up to 1")
    options = parser.parse_args(arguments)
    average(options.out, options.run)


if __name__ == "__main__":
    main()
