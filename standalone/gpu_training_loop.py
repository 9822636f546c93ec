"""The demo's training loop for a machine with an NVIDIA GPU and PyTorch; reports and prints as `training_loop` does.

With `--probe` it only says whether it could: exit code 0, or 3 with the reason.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from cli.exits import UNREACHABLE
from compute.architecture import Transformer
from standalone.gpu_training import Training, synchronise
from standalone.training_loop import reporting

if TYPE_CHECKING:
    from collections.abc import Sequence

SHAPE = Transformer(layers=4, width=1_024, feed_forward=4_096, vocabulary=8_192, context=512)
SEQUENCES = 16
HEADS = 8


def main(arguments: Sequence[str] | None = None) -> None:
    """Train for a while, report every step, and print one line of JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=20)
    options.add_argument("--probe", action="store_true", help="say whether there is a GPU to train on")
    options.add_argument("--device", default="cuda", help="what PyTorch calls it")
    chosen = options.parse_args(arguments)
    torch = _torch(chosen.device)
    if not chosen.probe:
        sys.stdout.write(json.dumps(train(torch, chosen.device, chosen.seconds)) + "\n")


def train(
    torch: Any, device: str, seconds: float, shape: Transformer = SHAPE, sequences: int = SEQUENCES, heads: int = HEADS
) -> dict[str, float | int]:
    """Whole steps until `seconds` have passed, at least one; what `training_loop` prints."""
    provider = reporting("bf16")
    meter = provider.get_meter("gpu-training-loop")
    compute = meter.create_counter("flopledger.training.compute", unit="FLOP")
    tokens = meter.create_counter("flopledger.training.tokens", unit="{token}")
    loop = Training(torch, device, shape, sequences, heads)
    started_s = time.monotonic()
    steps = flop = 0
    first = None
    while steps == 0 or time.monotonic() - started_s < seconds:
        done = loop.step()
        synchronise(torch, device)
        compute.add(done)
        tokens.add(sequences * shape.context)
        steps, flop = steps + 1, flop + done
        first = float(loop.loss) if first is None else first
    took_s = time.monotonic() - started_s
    provider.shutdown()  # with a last export
    return {
        "steps": steps,
        "tokens": steps * sequences * shape.context,
        "flop": flop,
        "layers": shape.layers,
        "width": shape.width,
        "feed_forward": shape.feed_forward,
        "vocabulary": shape.vocabulary,
        "context": shape.context,
        "sequences": sequences,
        "loss_first": first or 0.0,
        "loss_last": float(loop.loss),
        "seconds": round(took_s, 3),
    }


def _torch(device: str) -> Any:
    try:
        torch = importlib.import_module("torch")
        # The first use is what shows a driver that is too old for this PyTorch.
        torch.ones(1, device=device).add_(1).cpu()
    except Exception as error:  # whatever it is, there is nothing to train on
        sys.stderr.write(f"no GPU to train on: {type(error).__name__}: {error}\n")
        sys.exit(UNREACHABLE)
    return torch


if __name__ == "__main__":
    main()
