"""A transformer's training step on a GPU, in PyTorch, whose FLOP are known: those of `compute.architecture`, exactly.

PyTorch is no dependency: whoever makes a `Training` hands in the module.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compute.architecture import Transformer


class Training:
    """A causal transformer in BF16 with AdamW. `device` is what PyTorch calls it: `cuda`, or `cpu` to try it out."""

    def __init__(self, torch: Any, device: str, shape: Transformer, sequences: int, heads: int) -> None:
        self._torch = torch
        self._device = device
        self.shape = shape
        self.sequences = sequences
        self._heads = heads
        torch.manual_seed(1)
        d, f, v = shape.width, shape.feed_forward, shape.vocabulary

        def weight(*size: int) -> Any:
            drawn = torch.randn(*size, device=device) * 0.02
            return drawn.to(torch.bfloat16).requires_grad_(True)

        self._embedding, self._positions = weight(v, d), weight(shape.context, d)
        self._layers = [
            {"q": weight(d, d), "k": weight(d, d), "v": weight(d, d), "o": weight(d, d)}
            | {"up": weight(d, f), "down": weight(f, d)}
            for _ in range(shape.layers)
        ]
        self._head = weight(d, v)
        parameters = [self._embedding, self._positions, self._head]
        parameters += [each for layer in self._layers for each in layer.values()]
        self._optimiser = torch.optim.AdamW(parameters, lr=3e-4)
        mask = torch.full((shape.context, shape.context), float("-inf"), device=device).triu(1)
        self._mask = mask.to(torch.bfloat16)
        self.loss: Any = float("nan")

    def step(self) -> int:
        """One step on sequences that count on from a random token; returns its FLOP."""
        torch, shape = self._torch, self.shape
        functional = torch.nn.functional
        start = torch.randint(shape.vocabulary, (self.sequences, 1), device=self._device)
        tokens = (start + torch.arange(shape.context + 1, device=self._device)) % shape.vocabulary
        x = self._embedding[tokens[:, :-1]] + self._positions
        for layer in self._layers:
            x = x + self._attention(functional.layer_norm(x, (shape.width,)), layer)
            hidden = functional.layer_norm(x, (shape.width,)) @ layer["up"]
            x = x + functional.gelu(hidden) @ layer["down"]
        logits = (functional.layer_norm(x, (shape.width,)) @ self._head).float()
        loss = functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._optimiser.step()
        self.loss = loss.detach()
        return shape.training_flop(self.sequences)

    def _attention(self, x: Any, layer: dict[str, Any]) -> Any:
        batch, context, width = x.shape
        split = (batch, context, self._heads, width // self._heads)
        q, k, v = ((x @ layer[name]).view(split).transpose(1, 2) for name in ("q", "k", "v"))
        # By hand, so that the whole square is formed: a fused kernel would skip half of it, and recompute it backward.
        scores = (q @ k.transpose(-2, -1)) * split[-1] ** -0.5 + self._mask
        mixed = scores.softmax(-1) @ v
        return mixed.transpose(1, 2).reshape(batch, context, width) @ layer["o"]

    def run(self, seconds: float) -> int:
        """Steps for so long; their FLOP."""
        flop, ends_s = 0, time.monotonic() + seconds
        while time.monotonic() < ends_s:
            flop += self.step()
            synchronise(self._torch, self._device)
        return flop


def synchronise(torch: Any, device: str) -> None:
    """Wait until the device has done what it was told."""
    if device == "cuda":
        torch.cuda.synchronize()
