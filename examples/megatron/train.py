"""Megatron-style: tensor-parallel ranks, each of which reports its own share. See ../README.md for the endpoint.

    pip install torch opentelemetry-sdk opentelemetry-exporter-otlp-proto-http
    export OTEL_RESOURCE_ATTRIBUTES=flopledger.run.id=my-run,flopledger.model.id=my-model,flopledger.dtype=fp32
    torchrun --nproc-per-node 2 train.py

In Megatron-LM itself the place is the training loop, where it has computed `num_floating_point_operations(args,
batch_size)` for the log line of a step: that is for all ranks, so divide it by `torch.distributed.get_world_size()`, as
here, or let one rank alone report it, with `attributes={"flopledger.scope": "run"}`. Never both: every rank that
reports the whole run would count it once more, which flopledger shows as a finding.
"""

import os

import torch
import torch.distributed as dist
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from torch import nn

LAYERS, WIDTH, CONTEXT, VOCABULARY = 2, 64, 32, 128
SEQUENCES = 8
STEPS = int(os.environ.get("STEPS", "20"))

dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
rank, ranks = dist.get_rank(), dist.get_world_size()
torch.manual_seed(0)

# Reporting: the endpoint, its token and the run's names come from OpenTelemetry's own variables. Each rank is a process
# with counters of its own, all under the same run.
provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=10_000)])
meter = provider.get_meter("train")
compute = meter.create_counter("flopledger.training.compute", unit="FLOP")  # from 10^18 FLOP on: unit="GFLOP"
tokens = meter.create_counter("flopledger.training.tokens", unit="{token}")


class SumOverRanks(torch.autograd.Function):
    """Megatron's `g`: forward adds up what the ranks hold, backward passes on."""

    @staticmethod
    def forward(ctx, hidden):
        summed = hidden.clone()
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class CopyToRanks(torch.autograd.Function):
    """Megatron's `f`: forward passes on, backward adds up."""

    @staticmethod
    def forward(ctx, hidden):
        return hidden.view_as(hidden)

    @staticmethod
    def backward(ctx, gradient):
        summed = gradient.clone()
        dist.all_reduce(summed)
        return summed


class ParallelMLP(nn.Module):
    """Column-parallel up, row-parallel down: each rank holds and multiplies 1/ranks of the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH // ranks), nn.Linear(4 * WIDTH // ranks, WIDTH, bias=False)

    def forward(self, hidden):
        inside = self.up(CopyToRanks.apply(self.norm(hidden)))
        return hidden + SumOverRanks.apply(self.down(nn.functional.gelu(inside)))


embedding, output = nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, VOCABULARY)
torch.manual_seed(1 + rank)
layers = [ParallelMLP() for _ in range(LAYERS)]
model = nn.Sequential(embedding, *layers, nn.LayerNorm(WIDTH), output)


def floating_point_operations(tokens_in_batch: int) -> int:
    """Of all ranks, forward and backward. The output layer is the same on each rank, and each rank multiplies it."""
    whole = LAYERS * 2 * 4 * WIDTH * WIDTH + ranks * WIDTH * VOCABULARY
    return 6 * whole * tokens_in_batch


optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
for step in range(STEPS):
    torch.manual_seed(step)  # tensor-parallel ranks see the same data
    data = (torch.randint(VOCABULARY, (SEQUENCES, 1)) + torch.arange(CONTEXT + 1)) % VOCABULARY
    loss = nn.functional.cross_entropy(model(data[:, :-1]).reshape(-1, VOCABULARY), data[:, 1:].reshape(-1))
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()

    # This rank's share. Tensor-parallel ranks work on the same tokens: one of them reports these.
    compute.add(floating_point_operations(SEQUENCES * CONTEXT) // ranks)
    if rank == 0:
        tokens.add(SEQUENCES * CONTEXT)

provider.shutdown()  # sends what is left
if rank == 0:
    print(f"{STEPS} steps, loss {loss.item():.3f}, {floating_point_operations(SEQUENCES * CONTEXT) * STEPS} FLOP")
dist.destroy_process_group()
