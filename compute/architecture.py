"""Architecture-based counts: what a training step must compute, from the shape of the model.

A fused multiply-add is two FLOP, so a product of an m×k and a k×n matrix is 2mkn.
"""

from __future__ import annotations

from dataclasses import dataclass


def six_pd(parameters: int, tokens: int) -> int:
    """FLOP of training a dense transformer: 6 × parameters × tokens (forward 2PD, backward 4PD).

    Kaplan et al. 2020 (arXiv 2001.08361), section 2.1; the Commission's guidelines, annex A.2.2, name the same rule. It
    leaves out attention scores, so it wants parameters ≫ context / 12. For mixture of experts, give the active ones.
    """
    return 6 * parameters * tokens


@dataclass(frozen=True, slots=True)
class Transformer:
    """The shape of a decoder: layers, model width, feed-forward width, vocabulary, context length in tokens."""

    layers: int
    width: int
    feed_forward: int
    vocabulary: int
    context: int

    @property
    def parameters(self) -> int:
        """Weights that are multiplied with: attention (4 d²), feed-forward (2 d f) per layer, and the output layer.

        Embeddings are looked up, and norms scale element by element: neither is a product.
        """
        per_layer = 4 * self.width**2 + 2 * self.width * self.feed_forward
        return self.layers * per_layer + self.width * self.vocabulary

    def forward_flop(self, sequences: int) -> int:
        """Matrix-product FLOP of one forward pass over `sequences` full contexts, attention scores included.

        Attention is counted as executed by a loop that forms the whole square of scores: 2·2·context²·d per layer.
        """
        tokens = sequences * self.context
        weights = 2 * self.parameters * tokens
        scores = self.layers * 4 * tokens * self.context * self.width
        return weights + scores

    def training_flop(self, sequences: int) -> int:
        """Matrix-product FLOP of one step, forward and backward, without recomputation.

        Each product of the forward pass needs two of its own size on the way back, one per factor. None is spared: the
        first layer's input has a gradient too, since the embeddings are learned. Exactly what
        `standalone/training_loop.py` executes; how many heads share the width makes no difference.
        """
        return 3 * self.forward_flop(sequences)
