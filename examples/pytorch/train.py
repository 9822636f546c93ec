"""A PyTorch loop that reports its FLOP and tokens with plain OpenTelemetry. See ../README.md for the endpoint.

    pip install torch opentelemetry-sdk opentelemetry-exporter-otlp-proto-http
    export OTEL_RESOURCE_ATTRIBUTES=flopledger.run.id=my-run,flopledger.model.id=my-model,flopledger.dtype=fp32
    python train.py

With several ranks each process reports what it did itself: its own share of each step.
"""

import os

import torch
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from torch import nn

LAYERS, WIDTH, HEADS, CONTEXT, VOCABULARY = 2, 64, 4, 32, 128
SEQUENCES = 8
STEPS = int(os.environ.get("STEPS", "20"))

# Reporting: the endpoint, its token and the run's names come from OpenTelemetry's own variables.
provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=10_000)])
meter = provider.get_meter("train")
compute = meter.create_counter("flopledger.training.compute", unit="FLOP")  # from 10^18 FLOP on: unit="GFLOP"
tokens = meter.create_counter("flopledger.training.tokens", unit="{token}")


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.query_key_value, self.attended = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.register_buffer("mask", torch.triu(torch.full((CONTEXT, CONTEXT), float("-inf")), 1))

    def forward(self, hidden):
        shape = (hidden.shape[0], CONTEXT, HEADS, WIDTH // HEADS)
        query, key, value = (
            part.reshape(shape).transpose(1, 2) for part in self.query_key_value(self.first(hidden)).chunk(3, -1)
        )
        shares = (query @ key.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5 + self.mask).softmax(-1)
        hidden = hidden + self.attended((shares @ value).transpose(1, 2).reshape(hidden.shape))
        return hidden + self.down(nn.functional.gelu(self.up(self.second(hidden))))


model = nn.Sequential(
    nn.Embedding(VOCABULARY, WIDTH),
    *(Block() for _ in range(LAYERS)),
    nn.LayerNorm(WIDTH),
    nn.Linear(WIDTH, VOCABULARY),
)

# Of every weight that multiplies: 2 FLOP a token forward, 4 back. Attention: 12 × context × width a token and layer.
multiplying = sum(part.in_features * part.out_features for part in model.modules() if isinstance(part, nn.Linear))
flop_per_token = 6 * multiplying + 12 * LAYERS * CONTEXT * WIDTH

optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
for _ in range(STEPS):
    start = torch.randint(VOCABULARY, (SEQUENCES, 1))
    data = (start + torch.arange(CONTEXT + 1)) % VOCABULARY
    loss = nn.functional.cross_entropy(model(data[:, :-1]).reshape(-1, VOCABULARY), data[:, 1:].reshape(-1))
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()

    # What this process did in this step. A restart begins at zero again: never report from a checkpoint.
    compute.add(flop_per_token * SEQUENCES * CONTEXT)
    tokens.add(SEQUENCES * CONTEXT)

provider.shutdown()  # sends what is left
print(f"{STEPS} steps, loss {loss.item():.3f}, {flop_per_token * SEQUENCES * CONTEXT * STEPS} FLOP")
