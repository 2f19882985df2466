"""Takes the weighted mean of the networks of several runs.

    python -m training.average OUT_RUN RUN:SHARE RUN:SHARE ...

In: run directories with a checkpoint, all gone on from the same weights and encoded with the same
tokenizer, and their shares. Out: a run directory to export from. The mean of networks along one
path of training does much of what lowering the learning rate at its end would have done.
"""

import argparse
import shutil
from pathlib import Path

import torch

from training import checkpoint


def average(out: Path, shares: list[tuple[Path, float]]) -> None:
    """Writes the mean checkpoint and the tokenizer to `out`; the shares must add up to 1."""
    if abs(sum(share for _, share in shares) - 1) > 1e-6:
        raise ValueError("the shares do not add up to 1")
    state = checkpoint.read(shares[0][0])
    for run, _ in shares[1:]:
        tokenizers = [(one / "tokenizer.json").read_bytes() for one in (run, shares[0][0])]
        if tokenizers[0] != tokenizers[1]:
            raise ValueError(f"{run} has another tokenizer than {shares[0][0]}")
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
    """The command line."""
    parser = argparse.ArgumentParser(description="Average the networks of several runs.")
    parser.add_argument("out", type=Path, help="the run directory to write")
    parser.add_argument("run", type=_share, nargs="+", help="RUN:SHARE, the shares adding up to 1")
    options = parser.parse_args(arguments)
    average(options.out, options.run)


if __name__ == "__main__":
    main()
