"""Train the network for a set time.

    python -m training.train RUN_DIRECTORY --size 3m --minutes 60

Input: the output of training.tokenizer in the run directory. Output, in the same directory:
`checkpoint.pt` (every few minutes, at the end, and on Ctrl-C), `loss.json` and `loss.svg`.
`--resume` continues exactly at the checkpoint. `--init OTHER_RUN` starts a new run with the weights
of another one; the corpus must be encoded with the tokenizer of that run.

The learning rate follows the elapsed time, not the number of steps: a slow machine sees fewer
tokens, but every run ends on time and with the lowest learning rate. Time for which the process is
stopped or the machine asleep does not count.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import torch
from torch import Tensor

from training import checkpoint
from training.batches import Batch, Corpus, Position
from training.checkpoint import Progress
from training.curve import loss_curve
from training.model import SIZES, Config, Llama
from training.muon import Muon

WARM_UP_STEPS = 100
FLAT_UNTIL = 0.4  # share of the time at the full learning rate
LAST_RATE = 0.02  # share of the learning rate at the end
SHORT, LONG = 512, 2048  # tokens in a row
LONG_FROM = 0.85  # share of the time after which the rows are long
BATCH_TOKENS = 4096
LONGEST_STEP = (
    20.0  # seconds a step counts at most; a longer step means that the process was stopped
)
HELD_OUT_TOKENS = 32_768


def rate(step: int, share: float) -> float:
    """Return the factor of the learning rate at a step and a share of the time."""
    warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)
    decay = 1.0 if share < FLAT_UNTIL else max(LAST_RATE, (1 - share) / (1 - FLAT_UNTIL))
    return warm_up * decay


def has_bfloat16(device: str) -> bool:
    """Return whether the hardware computes bfloat16; emulated, it is slower than float32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    processor = torch.cpu.get_capabilities()
    return any(processor.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def build_optimizers(model: Llama, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices of the layers, and AdamW for embedding and norms."""
    inner = [p for name, p in model.named_parameters() if p.ndim == 2 and "embedding" not in name]
    rest = [p for name, p in model.named_parameters() if p.ndim < 2 or "embedding" in name]
    return [
        Muon(inner, lr=learning_rate),
        torch.optim.AdamW(rest, lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


class Trainer:
    """A run: the network, its optimizers, the corpus and the progress."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.run: Path = options.run
        self.progress = Progress()
        self.interrupted = False
        self.bfloat16 = has_bfloat16(options.device)
        torch.manual_seed(options.seed)
        self.corpus = Corpus(self.run, seed=options.seed)
        source = self.run if options.resume else options.init
        state = checkpoint.read(source, options.device) if source else None
        config = Config(**state["config"]) if state else self._new_config()
        self.model = Llama(config).to(options.device)
        self.optimizers = build_optimizers(self.model, options.learning_rate)
        if state:
            self.model.load_state_dict(state["model"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
        if state and options.resume:
            self.corpus.seek(Position(**state["position"]))
            self.progress = Progress(**state["progress"])
        # dynamic=False compiles once for each of the two row lengths.
        self.loss: Callable[[Tensor, Tensor, Tensor], Tensor] = (
            self.model if options.eager else torch.compile(self.model, dynamic=False)
        )

    def _new_config(self) -> Config:
        tokenizer = json.loads((self.run / "tokenizer.json").read_text(encoding="utf-8"))
        vocabulary = len(tokenizer["model"]["vocab"])
        return Config(vocabulary=vocabulary, context=LONG, **SIZES[self.options.size])

    def compute_loss(self, batch: Batch) -> Tensor:
        """Return the weighted mean loss of one batch."""
        device = self.options.device
        with torch.autocast(device, dtype=torch.bfloat16, enabled=self.bfloat16):
            return self.loss(*(part.to(device) for part in batch))

    def step(self, batch: Batch, factor: float) -> Tensor:
        """Train on one batch and return its loss, which may still be computing."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.options.learning_rate * factor
        loss = self.compute_loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def held_out_loss(self, context: int) -> float:
        """Return the loss on the held-out documents, in rows of `context` tokens."""
        rows = BATCH_TOKENS // context
        batches = min(HELD_OUT_TOKENS, len(self.corpus.held_out) - 1) // BATCH_TOKENS
        losses = []
        for start in range(0, batches * BATCH_TOKENS, BATCH_TOKENS):
            tokens = self.corpus.held_out[start : start + BATCH_TOKENS + 1]
            # No torch.no_grad here, because it would compile the network a second time.
            losses.append(self.compute_loss(self.corpus.to_rows(tokens, rows, context)).item())
        return sum(losses) / len(losses) if losses else float("nan")

    def save(self) -> None:
        """Write the checkpoint."""
        checkpoint.save(self.run, self.model, self.optimizers, self.corpus.position, self.progress)

    def interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        """Stop the loop after the current step, which then saves."""
        self.interrupted = True

    def train(self) -> None:
        """Train until the time is over or a signal arrives."""
        options, progress = self.options, self.progress
        budget = options.minutes * 60
        tick = time.monotonic()
        saved_at = reported_at = progress.seconds
        reported_tokens = progress.tokens
        sums: list[Tensor] = []
        while progress.seconds < budget and not self.interrupted:
            share = progress.seconds / budget
            context = LONG if share >= LONG_FROM else SHORT
            batch = self.corpus.next(BATCH_TOKENS // context, context)
            sums.append(self.step(batch, rate(progress.step, share)))
            progress.step += 1
            progress.tokens += BATCH_TOKENS
            tick, earlier = time.monotonic(), tick
            progress.seconds += min(tick - earlier, LONGEST_STEP)
            if progress.step % options.report_every == 0:
                loss = torch.stack(sums).mean().item()
                sums.clear()
                progress.training_loss.append((progress.tokens, loss))
                held_out = ""
                if progress.step % (options.report_every * 10) == 0:
                    measured = self.held_out_loss(context)
                    progress.held_out_loss.append((progress.tokens, measured))
                    held_out = f"  held out {measured:.4f}"
                speed = (progress.tokens - reported_tokens) / (progress.seconds - reported_at)
                self.report(loss, speed, context, held_out)
                reported_at, reported_tokens = progress.seconds, progress.tokens
            if progress.seconds - saved_at > options.save_every * 60:
                self.save()
                saved_at = progress.seconds
        self.finish()

    def report(self, loss: float, speed: float, context: int, held_out: str) -> None:
        """Print one line: a bar for the elapsed time, and the figures."""
        progress = self.progress
        done = min(1.0, progress.seconds / (self.options.minutes * 60))
        bar = ("#" * int(done * 20)).ljust(20, ".")
        line = (
            f"[{bar}] {progress.seconds / 60:5.1f} min  step {progress.step}  "
            f"{progress.tokens / 1e6:.2f} M tokens  loss {loss:.4f}  {speed:,.0f} tokens/s  "
            f"rows of {context}{held_out}"
        )
        # A terminal overwrites the line, except one with a held-out loss.
        overwrite = sys.stdout.isatty() and not held_out
        print(line, end="\r" if overwrite else "\n", flush=True)

    def finish(self) -> None:
        """Save the checkpoint, and write the losses as JSON and SVG."""
        progress = self.progress
        context = LONG if progress.seconds >= LONG_FROM * self.options.minutes * 60 else SHORT
        held_out = self.held_out_loss(context)
        progress.held_out_loss.append((progress.tokens, held_out))
        self.save()
        losses = {"training": progress.training_loss, "held out": progress.held_out_loss}
        (self.run / "loss.json").write_text(json.dumps(losses), encoding="utf-8")
        title = f"{self.model.parameter_count() / 1e6:.2f} M parameters"
        curve = loss_curve(progress.training_loss, progress.held_out_loss, title)
        (self.run / "loss.svg").write_text(curve, encoding="utf-8")
        end = "interrupted; continue with --resume" if self.interrupted else "done"
        print(
            f"{end}: {progress.step} steps, {progress.tokens / 1e6:.2f} M tokens, "
            f"{progress.seconds / 60:.1f} min, held out {held_out:.4f}",
            flush=True,
        )


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Train the network for a given time.")
    parser.add_argument("run", type=Path, help="directory with the encoded corpus")
    parser.add_argument("--size", choices=SIZES, default="3m")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint")
    parser.add_argument(
        "--init", type=Path, metavar="RUN", help="start with the weights of this run"
    )
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save-every", type=float, default=4, metavar="MINUTES")
    parser.add_argument("--report-every", type=int, default=50, metavar="STEPS")
    parser.add_argument("--eager", action="store_true", help="do not compile (no compiler needed)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    trainer = Trainer(options)
    # The handlers come after the build, because before it a run has no state to save.
    stops = (signal.SIGINT, signal.SIGTERM)
    earlier = [signal.signal(stop, trainer.interrupt) for stop in stops]
    print(f"{trainer.model.parameter_count() / 1e6:.2f} M parameters, {trainer.model.config}")
    try:
        trainer.train()
    finally:
        for stop, handler in zip(stops, earlier, strict=True):
            signal.signal(stop, handler)


if __name__ == "__main__":
    main()
