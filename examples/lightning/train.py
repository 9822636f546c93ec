"""A Lightning callback that reports FLOP and tokens with plain OpenTelemetry. See ../README.md for the endpoint.

    pip install lightning opentelemetry-sdk opentelemetry-exporter-otlp-proto-http
    export OTEL_RESOURCE_ATTRIBUTES=flopledger.run.id=my-run,flopledger.model.id=my-model,flopledger.dtype=fp32
    python train.py

With several devices each process runs the callback on its own batches, and reports its own share.
"""

import os

import lightning
import torch
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from torch import nn

WIDTH, CONTEXT, VOCABULARY, SEQUENCES = 64, 32, 128, 8
STEPS = int(os.environ.get("STEPS", "20"))


class ReportCompute(lightning.Callback):
    """Adds up what this process does. `flop_per_token` is of forward and backward together."""

    def __init__(self, flop_per_token: int) -> None:
        self.flop_per_token = flop_per_token
        self.provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
        meter = self.provider.get_meter("lightning")
        self.compute = meter.create_counter("flopledger.training.compute", unit="FLOP")  # from 10^18 FLOP on: "GFLOP"
        self.tokens = meter.create_counter("flopledger.training.tokens", unit="{token}")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        tokens = batch[:, :-1].numel()
        self.compute.add(self.flop_per_token * tokens)
        self.tokens.add(tokens)

    def on_train_end(self, trainer, pl_module):
        self.provider.shutdown()  # sends what is left

    def on_exception(self, trainer, pl_module, exception):
        self.provider.force_flush()


class NextToken(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, VOCABULARY)
        )

    def training_step(self, batch, batch_idx):
        logits = self.model(batch[:, :-1])
        return nn.functional.cross_entropy(logits.reshape(-1, VOCABULARY), batch[:, 1:].reshape(-1))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


data = (torch.randint(VOCABULARY, (SEQUENCES * STEPS, 1)) + torch.arange(CONTEXT + 1)) % VOCABULARY
module = NextToken()
# Of every weight that multiplies: 2 FLOP a token forward, 4 backward.
multiplying = sum(part.in_features * part.out_features for part in module.modules() if isinstance(part, nn.Linear))
trainer = lightning.Trainer(
    max_epochs=1,
    callbacks=[ReportCompute(6 * multiplying)],
    accelerator="auto",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=SEQUENCES))
print(f"{trainer.global_step} steps, {6 * multiplying * SEQUENCES * CONTEXT * STEPS} FLOP")
