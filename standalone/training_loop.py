"""A real training loop that reports its own compute: a small decoder transformer in NumPy, on the CPU.

It imports nothing of flopledger. Whatever trains can report in the same way, with any OpenTelemetry SDK; in Python:

    exporter = OTLPMetricExporter("http://127.0.0.1:4319/v1/metrics")
    resource = Resource.create({"flopledger.run.id": "my-run", "flopledger.model.id": "my-model"})
    provider = MeterProvider([PeriodicExportingMetricReader(exporter)], resource=resource)
    compute = provider.get_meter("train").create_counter("flopledger.training.compute", unit="GFLOP")
    compute.add(gigaflop_of_this_step)  # after every step, starting from zero in every process
    provider.shutdown()  # at the end: sends what is left

The unit may be FLOP, GFLOP, TFLOP or PFLOP; tokens go to `flopledger.training.tokens`. A process reports its own share;
one that speaks for the whole run adds the attribute `flopledger.scope` = `run`. Here the unit is FLOP in integers,
exact, and enough for 9.2 × 10¹⁸ of them.

Settings from the environment: FLOPLEDGER_RUN_ID, FLOPLEDGER_MODEL_ID, FLOPLEDGER_PURPOSE, and all of OpenTelemetry's
own, such as OTEL_EXPORTER_OTLP_METRICS_ENDPOINT and OTEL_RESOURCE_ATTRIBUTES. Prints one line of JSON at the end.

The model is a causal transformer (learned positions, pre-norm attention and GELU feed-forward, both residual) with a
backward pass written out by hand and Adam. Its corpus is arithmetic: every sequence counts on from a random number in
steps of a random size, modulo the vocabulary, so that the next token follows from the two before it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import time
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Array = np.ndarray[Any, np.dtype[Any]]

DEFAULT_ENDPOINT = "http://127.0.0.1:4319/v1/metrics"
EXPORT_INTERVAL_MS = 1_000
EXPORT_TIMEOUT_S = 5

LONGEST_STRIDE = 8
LEARNING_RATE = 1e-3


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the model and of one step: `sequences` full contexts of `context` tokens."""

    layers: int = 4
    width: int = 128
    feed_forward: int = 512
    vocabulary: int = 64
    context: int = 64
    sequences: int = 32
    heads: int = 4


class Products:
    """Every matrix product of the loop: executed here, and counted here, 2 × m × n × k FLOP each."""

    def __init__(self) -> None:
        self.flop = 0

    def __call__(self, left: Array, right: Array) -> Array:
        """`left` × `right` over the last two axes, in batches over the others."""
        product: Array = np.matmul(left, right)
        self.flop += 2 * left.shape[-1] * product.size
        return product


class Step(NamedTuple):
    """What one pass forward and backward yields."""

    loss: float
    gradients: dict[str, Array]


class Model:
    """The transformer. A layer's forward function also returns its backward one, which holds what it needs."""

    def __init__(self, shape: Shape, seed: int, dtype: type[np.floating[Any]] = np.float32) -> None:
        self.shape = shape
        self.product = Products()
        random = np.random.default_rng(seed)
        width, deep = shape.width, 0.02 / math.sqrt(2 * shape.layers)

        def weights(rows: int, columns: int, scale: float = 0.02) -> Array:
            return (random.standard_normal((rows, columns)) * scale).astype(dtype)

        self.weights: dict[str, Array] = {
            "embedding": weights(shape.vocabulary, width),
            "position": weights(shape.context, width),
            "output": weights(width, shape.vocabulary),
        }
        for layer in range(shape.layers):
            self.weights |= {
                f"{layer}.query_key_value": weights(width, 3 * width),
                f"{layer}.attended": weights(width, width, deep),
                f"{layer}.up": weights(width, shape.feed_forward),
                f"{layer}.down": weights(shape.feed_forward, width, deep),
            }
        for norm in ("final", *(f"{layer}.{part}" for layer in range(shape.layers) for part in ("first", "second"))):
            self.weights |= {f"{norm}.gain": np.ones(width, dtype), f"{norm}.bias": np.zeros(width, dtype)}
        self._masked = np.triu(np.full((shape.context, shape.context), -1e9, dtype), k=1)

    def step(self, sequences: Array) -> Step:
        """Loss in nats per token, and its gradients; each row of `sequences` is a context and one token more."""
        inputs, targets = sequences[:, :-1], sequences[:, 1:].reshape(-1)
        gradients: dict[str, Array] = {}
        embedded = self.weights["embedding"][inputs] + self.weights["position"]
        hidden = embedded.reshape(-1, self.shape.width)
        backward: list[Callable[[Array], Array]] = []
        for layer in range(self.shape.layers):
            for part in (self._attention, self._feed_forward):
                change, back = part(layer, hidden, gradients)
                hidden = hidden + change
                backward.append(back)
        normed, back_norm = self._norm("final", hidden, gradients)
        logits, back_output = self._linear("output", normed, gradients)
        loss, gradient = _cross_entropy(logits, targets)
        gradient = back_norm(back_output(gradient))
        for back in reversed(backward):
            gradient = gradient + back(gradient)
        by_position = gradient.reshape(embedded.shape)
        gradients["position"] = by_position.sum(axis=0)
        gradients["embedding"] = np.zeros_like(self.weights["embedding"])
        np.add.at(gradients["embedding"], inputs, by_position)
        return Step(loss, gradients)

    def _attention(
        self, layer: int, hidden: Array, gradients: dict[str, Array]
    ) -> tuple[Array, Callable[[Array], Array]]:
        """Causal, with several heads, over the whole square of scores: what is masked is computed all the same."""
        shape = self.shape
        scale = 1 / math.sqrt(shape.width // shape.heads)
        split = (-1, shape.context, 3, shape.heads, shape.width // shape.heads)
        normed, back_norm = self._norm(f"{layer}.first", hidden, gradients)
        projected, back_projected = self._linear(f"{layer}.query_key_value", normed, gradients)
        query, key, value = projected.reshape(split).transpose(2, 0, 3, 1, 4)  # each: sequence, head, token, width
        scores = self.product(query, key.swapaxes(-1, -2)) * scale + self._masked
        shares = _softmax(scores)
        mixed = self.product(shares, value)
        joined = mixed.transpose(0, 2, 1, 3).reshape(hidden.shape)
        result, back_attended = self._linear(f"{layer}.attended", joined, gradients)

        def back(gradient: Array) -> Array:
            d_joined = back_attended(gradient)
            d_mixed = d_joined.reshape(-1, shape.context, shape.heads, split[-1]).transpose(0, 2, 1, 3)
            d_value = self.product(shares.swapaxes(-1, -2), d_mixed)
            d_shares = self.product(d_mixed, value.swapaxes(-1, -2))
            d_scores = shares * (d_shares - (d_shares * shares).sum(axis=-1, keepdims=True)) * scale
            d_query = self.product(d_scores, key)
            d_key = self.product(d_scores.swapaxes(-1, -2), query)
            d_projected = np.stack((d_query, d_key, d_value)).transpose(1, 3, 0, 2, 4).reshape(projected.shape)
            return back_norm(back_projected(d_projected))

        return result, back

    def _feed_forward(
        self, layer: int, hidden: Array, gradients: dict[str, Array]
    ) -> tuple[Array, Callable[[Array], Array]]:
        normed, back_norm = self._norm(f"{layer}.second", hidden, gradients)
        raised, back_up = self._linear(f"{layer}.up", normed, gradients)
        bent = np.tanh(math.sqrt(2 / math.pi) * (raised + 0.044715 * raised * raised * raised))
        result, back_down = self._linear(f"{layer}.down", 0.5 * raised * (1 + bent), gradients)

        def back(gradient: Array) -> Array:
            slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * raised * raised)
            d_raised = back_down(gradient) * 0.5 * (1 + bent + raised * (1 - bent * bent) * slope)
            return back_norm(back_up(d_raised))

        return result, back

    def _linear(self, name: str, hidden: Array, gradients: dict[str, Array]) -> tuple[Array, Callable[[Array], Array]]:
        weights = self.weights[name]

        def back(gradient: Array) -> Array:
            gradients[name] = self.product(hidden.T, gradient)
            return self.product(gradient, weights.T)

        return self.product(hidden, weights), back

    def _norm(self, name: str, hidden: Array, gradients: dict[str, Array]) -> tuple[Array, Callable[[Array], Array]]:
        gain, bias = self.weights[f"{name}.gain"], self.weights[f"{name}.bias"]
        centred = hidden - hidden.mean(axis=-1, keepdims=True)
        inverse = 1 / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + 1e-5)
        unit = centred * inverse

        def back(gradient: Array) -> Array:
            gradients[f"{name}.gain"] = (gradient * unit).sum(axis=0)
            gradients[f"{name}.bias"] = gradient.sum(axis=0)
            d_unit = gradient * gain
            along = (d_unit * unit).mean(axis=-1, keepdims=True)
            result: Array = inverse * (d_unit - d_unit.mean(axis=-1, keepdims=True) - unit * along)
            return result

        return unit * gain + bias, back


def _softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: Array = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def _cross_entropy(logits: Array, targets: Array) -> tuple[float, Array]:
    """Mean loss over tokens, and its gradient by logit."""
    shares = _softmax(logits)
    rows = np.arange(len(targets))
    loss = -np.log(shares[rows, targets] + 1e-30).mean()
    shares[rows, targets] -= 1
    return float(loss), shares / len(targets)


class Adam:
    """Adam (Kingma and Ba 2015), in place."""

    def __init__(self, weights: dict[str, Array], rate: float) -> None:
        self._weights = weights
        self._rate = rate
        self._first = {name: np.zeros_like(array) for name, array in weights.items()}
        self._second = {name: np.zeros_like(array) for name, array in weights.items()}
        self._steps = 0

    def apply(self, gradients: Mapping[str, Array]) -> None:
        """One step down along `gradients`."""
        self._steps += 1
        rate = self._rate * math.sqrt(1 - 0.999**self._steps) / (1 - 0.9**self._steps)
        for name, gradient in gradients.items():
            first, second = self._first[name], self._second[name]
            first += (gradient - first) * 0.1
            second += (gradient * gradient - second) * 0.001
            self._weights[name] -= rate * first / (np.sqrt(second) + 1e-8)


def corpus(random: np.random.Generator, shape: Shape) -> Array:
    """One step's data: `sequences` rows that count on in steps of a random size."""
    start = random.integers(shape.vocabulary, size=(shape.sequences, 1))
    stride = random.integers(1, LONGEST_STRIDE, size=(shape.sequences, 1), endpoint=True)
    return (start + stride * np.arange(shape.context + 1)) % shape.vocabulary


def reporting(dtype: str = "fp32") -> MeterProvider:
    """OpenTelemetry, set up from the environment. A run that nobody named gets a name of its own."""
    names = {
        "flopledger.run.id": os.environ.get("FLOPLEDGER_RUN_ID"),
        "flopledger.model.id": os.environ.get("FLOPLEDGER_MODEL_ID"),
        "flopledger.purpose": os.environ.get("FLOPLEDGER_PURPOSE"),
        "flopledger.dtype": dtype,
    }
    named = Resource.create({name: value for name, value in names.items() if value})
    unnamed = Resource({"flopledger.run.id": f"training-loop-{uuid.uuid4().hex[:12]}"})
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT") or DEFAULT_ENDPOINT
    return MeterProvider(
        metric_readers=[
            PeriodicExportingMetricReader(
                OTLPMetricExporter(endpoint=endpoint, timeout=EXPORT_TIMEOUT_S),
                export_interval_millis=EXPORT_INTERVAL_MS,
            )
        ],
        resource=unnamed.merge(named),
    )


def train(
    shape: Shape, seed: int, go_on: Callable[[int], bool], on_step: Callable[[int, float, int], None]
) -> dict[str, float | int]:
    """Train while `go_on(steps)` says so; `on_step` hears of each step: its number, loss and FLOP."""
    model = Model(shape, seed)
    optimiser = Adam(model.weights, LEARNING_RATE)
    random = np.random.default_rng([seed, 1])
    losses: list[float] = []
    while go_on(len(losses)):
        before = model.product.flop
        loss, gradients = model.step(corpus(random, shape))
        optimiser.apply(gradients)
        losses.append(loss)
        on_step(len(losses), loss, model.product.flop - before)
    return {
        "steps": len(losses),
        "tokens": len(losses) * shape.sequences * shape.context,
        "flop": model.product.flop,
        "layers": shape.layers,
        "width": shape.width,
        "feed_forward": shape.feed_forward,
        "vocabulary": shape.vocabulary,
        "context": shape.context,
        "sequences": shape.sequences,
        "loss_first": losses[0],
        "loss_last": losses[-1],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, report, and print what was done."""
    options = _options(arguments)
    shape = Shape(**{name: getattr(options, name) for name in Shape.__slots__})
    provider = reporting()
    meter = provider.get_meter("training-loop")
    compute = meter.create_counter("flopledger.training.compute", unit="FLOP")
    tokens = meter.create_counter("flopledger.training.tokens", unit="{token}")
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, stop)
    started = time.monotonic()

    def go_on(steps: int) -> bool:
        enough = steps >= options.steps if options.steps else time.monotonic() - started >= options.seconds
        return steps == 0 or not (enough or stopped)

    def on_step(step: int, loss: float, flop: int) -> None:
        compute.add(flop)
        tokens.add(shape.sequences * shape.context)
        if options.verbose:
            sys.stderr.write(f"step {step}: loss {loss:.4f}, {time.monotonic() - started:.1f} s\n")

    result = train(shape, options.seed, go_on, on_step)
    seconds = time.monotonic() - started
    provider.shutdown()  # with a last export
    sys.stdout.write(json.dumps(result | {"seconds": round(seconds, 3)}) + "\n")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train a small transformer on the CPU and report its compute.")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=float, default=20, help="stop after the first whole step past this")
    length.add_argument("--steps", type=_positive, help="stop after this many steps instead")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="a line per step on stderr")
    for name, size in asdict(Shape()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=_positive, default=size)
    options = parser.parse_args(arguments)
    if options.width % options.heads:
        parser.error(f"--width {options.width} cannot be shared among {options.heads} heads")
    return options


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    main()
