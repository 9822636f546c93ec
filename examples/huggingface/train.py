"""A Hugging Face Trainer whose callback reports FLOP and tokens with plain OpenTelemetry. See ../README.md.

    pip install torch transformers accelerate opentelemetry-sdk opentelemetry-exporter-otlp-proto-http
    export OTEL_RESOURCE_ATTRIBUTES=flopledger.run.id=my-run,flopledger.model.id=my-model,flopledger.dtype=fp32
    python train.py

The Trainer itself counts, for all processes together: `total_flos`, by default 6 × parameters outside the embeddings ×
tokens, without attention; a model may know better by its own `floating_point_ops`. So one process reports, for the
whole run.
"""

import os
import tempfile

import torch
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments

CONTEXT, VOCABULARY, SEQUENCES = 32, 128, 8
STEPS = int(os.environ.get("STEPS", "20"))
WHOLE_RUN = {"flopledger.scope": "run"}


class ReportCompute(TrainerCallback):
    """Reports what the Trainer has counted since this process began."""

    def __init__(self) -> None:
        self.provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
        meter = self.provider.get_meter("trainer")
        self.compute = meter.create_counter("flopledger.training.compute", unit="FLOP")  # from 10^18 FLOP on: "GFLOP"
        self.tokens = meter.create_counter("flopledger.training.tokens", unit="{token}")
        self.flop_reported = self.tokens_reported = 0

    def on_train_begin(self, args, state, control, **kwargs):
        # After a resume these begin where the checkpoint stood: that work was reported by the process that did it.
        self.flop_reported, self.tokens_reported = int(state.total_flos), int(state.num_input_tokens_seen)

    def on_log(self, args, state, control, **kwargs):
        self.report(state)

    def on_train_end(self, args, state, control, **kwargs):
        self.report(state)
        self.provider.shutdown()  # sends what is left

    def report(self, state):
        if not state.is_world_process_zero:
            return
        self.compute.add(int(state.total_flos) - self.flop_reported, WHOLE_RUN)
        self.tokens.add(int(state.num_input_tokens_seen) - self.tokens_reported, WHOLE_RUN)
        self.flop_reported, self.tokens_reported = int(state.total_flos), int(state.num_input_tokens_seen)


class Counting(torch.utils.data.Dataset):
    """Sequences that count on from a number."""

    def __len__(self):
        return SEQUENCES * STEPS

    def __getitem__(self, index):
        ids = (index + torch.arange(CONTEXT)) % VOCABULARY
        return {"input_ids": ids, "labels": ids}


model = GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=64, n_layer=2, n_head=4))
with tempfile.TemporaryDirectory() as directory:
    arguments = TrainingArguments(
        output_dir=directory,
        max_steps=STEPS,
        per_device_train_batch_size=SEQUENCES,
        logging_steps=5,  # how often total_flos is brought up to date
        include_num_input_tokens_seen=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=Counting(), callbacks=[ReportCompute()])
    trainer.train()
print(f"{trainer.state.global_step} steps, {int(trainer.state.total_flos)} FLOP")
