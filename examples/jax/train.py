"""A JAX loop that reports its FLOP and tokens with plain OpenTelemetry. See ../README.md for the endpoint.

    pip install jax opentelemetry-sdk opentelemetry-exporter-otlp-proto-http
    export OTEL_RESOURCE_ATTRIBUTES=flopledger.run.id=my-run,flopledger.model.id=my-model,flopledger.dtype=fp32
    python train.py

With several hosts each process runs this, and reports what it did itself: `jax.process_count()` shares of each step.
"""

import os

import jax
import jax.numpy as jnp
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

LAYERS, WIDTH, CONTEXT, VOCABULARY = 2, 64, 32, 128
SEQUENCES = 8
STEPS = int(os.environ.get("STEPS", "20"))

# Reporting: the endpoint, its token and the run's names come from OpenTelemetry's own variables.
provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=10_000)])
meter = provider.get_meter("train")
compute = meter.create_counter("flopledger.training.compute", unit="FLOP")  # from 10^18 FLOP on: unit="GFLOP"
tokens = meter.create_counter("flopledger.training.tokens", unit="{token}")

MATRICES = {
    "query_key_value": (WIDTH, 3 * WIDTH),
    "attended": (WIDTH, WIDTH),
    "up": (WIDTH, 4 * WIDTH),
    "down": (4 * WIDTH, WIDTH),
}


def initial(key):
    keys = iter(jax.random.split(key, 2 + LAYERS * len(MATRICES)))
    layers = [
        {name: jax.random.normal(next(keys), size) * 0.02 for name, size in MATRICES.items()} for _ in range(LAYERS)
    ]
    return {
        "embedding": jax.random.normal(next(keys), (VOCABULARY, WIDTH)) * 0.02,
        "layers": layers,
        "output": jax.random.normal(next(keys), (WIDTH, VOCABULARY)) * 0.02,
    }


def normed(hidden):
    return hidden / jnp.sqrt(jnp.mean(hidden * hidden, -1, keepdims=True) + 1e-6)


def loss_of(weights, data):
    inputs, targets = data[:, :-1], data[:, 1:]
    hidden = weights["embedding"][inputs]
    mask = jnp.triu(jnp.full((CONTEXT, CONTEXT), -1e9), 1)
    for layer in weights["layers"]:
        query, key, value = jnp.split(normed(hidden) @ layer["query_key_value"], 3, -1)
        shares = jax.nn.softmax(query @ key.swapaxes(-1, -2) / WIDTH**0.5 + mask, -1)
        hidden = hidden + (shares @ value) @ layer["attended"]
        hidden = hidden + jax.nn.gelu(normed(hidden) @ layer["up"]) @ layer["down"]
    chances = jax.nn.log_softmax(normed(hidden) @ weights["output"])
    return -jnp.mean(jnp.take_along_axis(chances, targets[..., None], -1))


@jax.jit
def update(weights, data):
    loss, gradients = jax.value_and_grad(loss_of)(weights, data)
    return jax.tree_util.tree_map(lambda weight, gradient: weight - 0.1 * gradient, weights, gradients), loss


# Of every weight that multiplies: 2 FLOP a token forward, 4 back. Attention: 12 × context × width a token and layer.
multiplying = LAYERS * sum(rows * columns for rows, columns in MATRICES.values()) + WIDTH * VOCABULARY
flop_per_token = 6 * multiplying + 12 * LAYERS * CONTEXT * WIDTH

weights = initial(jax.random.PRNGKey(0))
for step in range(STEPS):
    start = jax.random.randint(jax.random.PRNGKey(step), (SEQUENCES, 1), 0, VOCABULARY)
    data = (start + jnp.arange(CONTEXT + 1)) % VOCABULARY
    weights, loss = update(weights, data)
    loss.block_until_ready()  # JAX runs ahead: count what is done, not what is queued

    # What this process did in this step. A restart begins at zero again: never report from a checkpoint.
    compute.add(flop_per_token * SEQUENCES * CONTEXT // jax.process_count())
    tokens.add(SEQUENCES * CONTEXT // jax.process_count())

provider.shutdown()  # sends what is left
print(f"{STEPS} steps, loss {loss:.3f}, {flop_per_token * SEQUENCES * CONTEXT * STEPS} FLOP")
