"""Architecture-based counts: what a training step must compute, from the shape of the model.

A fused multiply-add is two FLOP, so a product of an m×k and a k×n matrix is 2mkn.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from compute.estimate import Reasoned
from compute.exact import bounded, plain
from compute.hardware import MARGIN, MARGIN_SENTENCE

FULL_RECOMPUTE = Fraction(4, 3)


def six_pd(parameters: int, tokens: int) -> int:
    """FLOP of training a dense transformer: 6 × parameters × tokens (forward 2PD, backward 4PD).

    Kaplan et al. 2020 (arXiv 2001.08361), section 2.1; the Commission's guidelines, annex A.2.2, name the same rule. It
    leaves out attention scores, so it wants parameters ≫ context / 12. For mixture of experts, give the active ones.
    """
    return 6 * parameters * tokens


def two_pd(parameters: int, tokens: int) -> int:
    """FLOP of forward passes alone, as in generating data or scoring it: 2 × parameters × tokens.

    Kaplan et al. 2020 (arXiv 2001.08361), section 2.1. Generating reads the same weights per token as training does.
    """
    return 2 * parameters * tokens


def attention_forward_flop(layers: int, hidden: int, context: int, tokens: int) -> int:
    """FLOP of attention scores and of mixing by them, forward, for sequences as long as `context`, the whole square.

    4 × layers × hidden × context per token; thrice that in training, the 12·L·H·Q·T of Chowdhery et al. 2022 (PaLM,
    arXiv 2204.02311, appendix B), with heads × head width = hidden. Kernels that skip what the causal mask hides do
    about half of it.
    """
    return 4 * layers * hidden * context * tokens


@dataclass(frozen=True, slots=True)
class Attention:
    """What the attention term needs: layers, width of the heads together, context length in tokens."""

    layers: int
    hidden: int
    context: int


def from_architecture(
    parameters: int,
    tokens: int,
    *,
    attention: Attention | None = None,
    forward_only: bool = False,
    margin: Fraction = MARGIN,
) -> Reasoned:
    """Training compute by the shape of the model: 6PD (2PD for forward passes alone), and attention where given.

    `parameters` are the active ones per token of a mixture of experts. Recomputation of activations is not in it: the
    guidelines leave it out (annex A.1), and `recomputed_flop` says what it would be. Raises ValueError for negative
    sizes.
    """
    if min(parameters, tokens) < 0 or (attention and min(attention.layers, attention.hidden, attention.context) < 0):
        raise ValueError("parameters, tokens, layers, widths and contexts are not negative")
    passes = 1 if forward_only else 3
    flop = passes * two_pd(parameters, tokens)
    work = "forward passes alone, 2PD" if forward_only else "training, 6PD: forward 2PD, backward 4PD"
    says = [
        f"{work}, with P = {parameters:,} parameters and D = {tokens:,} tokens (Guidelines C(2025) 7719, annex A.2.2)"
    ]
    spared = 0
    if attention is None:
        says.append("attention scores are left out: small while the context is short against 12 × the hidden width")
    else:
        scores = passes * attention_forward_flop(attention.layers, attention.hidden, attention.context, tokens)
        flop += scores
        spared = scores // 2
        says.append(
            f"attention scores of {attention.layers} layers, hidden {attention.hidden}, context {attention.context}: "
            f"{scores:,} FLOP, the whole square; the lower bound takes half of it, as under a causal mask"
        )
    says.append("recomputation of activations is not in it")
    says.append(MARGIN_SENTENCE.format(margin=plain(margin * 100)))
    estimate = bounded(Fraction(flop), max((flop - spared) * (1 - margin), Fraction(0)), flop * (1 + margin))
    return Reasoned(estimate, tuple(says))


def recomputed_flop(parameters: int, tokens: int, factor: Fraction = FULL_RECOMPUTE) -> int:
    """FLOP of doing forward passes again instead of keeping activations: (factor − 1) × 6PD.

    Full recomputation repeats each forward pass once, 8PD instead of 6PD, so `factor` is 4/3 (Korthikanti et al. 2022,
    arXiv 2205.05198; the HFU / MFU of published runs). A counter measures it; the guidelines' totals leave it out.
    """
    return round((factor - 1) * six_pd(parameters, tokens))


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
