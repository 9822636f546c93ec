"""The examples report what their architecture amounts to; those that cannot run here use names that exist."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import kubernetes_validate
import pytest
import yaml

from agent.reports.book import ReportBook
from agent.reports.instruments import COMPUTE, TOKENS
from agent.reports.receiver import Receiver
from compute.architecture import Transformer
from tests.services.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*/train.py"))
BROUGHT = ROOT / ".cache" / "examples"
GET = "sh scripts/services.sh examples"
JAX = BROUGHT / "jax" / "bin" / "python"
DEBIANS = Path("/usr/bin/python3")
STEPS = 3
TOKENS_PER_STEP = 8 * 32
TOKEN = "not to be guessed"
TRANSFORMER = Transformer(layers=2, width=64, feed_forward=256, vocabulary=128, context=32)


class Heard(NamedTuple):
    """What one reporter told of one run."""

    run: str
    method: str
    dtype: str
    flop: int
    tokens: int


class Listening:
    """The agent's receiver, which asks for a token, as it does for pods."""

    def __init__(self, receiver: Receiver, book: ReportBook) -> None:
        self._book = book
        self.environ = {
            **os.environ,
            "STEPS": str(STEPS),
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"http://127.0.0.1:{receiver.port}/v1/metrics",
            "OTEL_EXPORTER_OTLP_METRICS_HEADERS": f"authorization=Bearer%20{TOKEN.replace(' ', '%20')}",
            "OTEL_RESOURCE_ATTRIBUTES": "flopledger.run.id=example,flopledger.dtype=fp32",
        }

    def heard(self) -> list[Heard]:
        found = []
        for key, meter in self._book._meters.items():
            counted = {stream.instrument: stream.counted.point for stream in meter.streams.values()}
            flop, tokens = counted.get(COMPUTE), counted.get(TOKENS, 0)
            assert flop is not None
            assert tokens is not None
            found.append(Heard(key.run, key.method, str(key.dtype), flop, tokens))
        return sorted(found)


@contextmanager
def listening() -> Iterator[Listening]:
    book = ReportBook("node", time.time_ns)
    receiver = Receiver(book, port=0, token=TOKEN)
    receiver.start()
    try:
        yield Listening(receiver, book)
    finally:
        receiver.close()


def needed(what: Path) -> Path:
    if what.exists():
        return what
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing: {GET}")
    pytest.skip(f"{what} is missing. Run: {GET}")


def debians_pytorch() -> dict[str, str]:
    """The environment in which Debian's Python finds its PyTorch and our OpenTelemetry."""
    needed(Path("/usr/lib/python3/dist-packages/torch"))
    return {"PYTHONPATH": str(needed(BROUGHT / "torch"))}


def test_jax_reports_what_its_architecture_amounts_to() -> None:
    with listening() as receiver:
        subprocess.run([needed(JAX), EXAMPLES / "jax/train.py"], env=receiver.environ, check=True)
        (heard,) = receiver.heard()
    flop = STEPS * TRANSFORMER.training_flop(8)
    assert heard == Heard("example", "reported-rank", "fp32", flop, STEPS * TOKENS_PER_STEP)


def test_pytorch_reports_what_its_architecture_amounts_to() -> None:
    environ = debians_pytorch()
    with listening() as receiver:
        command = [DEBIANS, EXAMPLES / "pytorch/train.py"]
        subprocess.run(command, env={**receiver.environ, **environ}, check=True)
        (heard,) = receiver.heard()
    flop = STEPS * TRANSFORMER.training_flop(8)
    assert heard == Heard("example", "reported-rank", "fp32", flop, STEPS * TOKENS_PER_STEP)


def test_two_tensor_parallel_ranks_report_their_shares() -> None:
    environ = debians_pytorch()
    (port,) = free_ports(1)
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    with listening() as receiver:
        command = [DEBIANS, EXAMPLES / "megatron/train.py"]
        ranks = [
            subprocess.Popen(command, env={**receiver.environ, **environ, **group, "RANK": str(rank)})
            for rank in range(2)
        ]
        assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
        heard = receiver.heard()
    # Two layers of 64 × 256 and back, shared; and an output layer that both ranks multiply.
    whole = 6 * (2 * 2 * 64 * 256 + 2 * 64 * 128) * STEPS * TOKENS_PER_STEP
    assert [report.flop for report in heard] == [whole // 2, whole // 2]
    assert sorted(report.tokens for report in heard) == [0, STEPS * TOKENS_PER_STEP]
    assert {report.method for report in heard} == {"reported-rank"}


def members(source: Path, name: str) -> dict[str, ast.AST]:
    """Methods and annotated fields of a class, from its source."""
    tree = ast.parse(needed(source).read_text(encoding="utf-8"))
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    return {
        **{node.name: node for node in found.body if isinstance(node, ast.FunctionDef)},
        **{
            node.target.id: node
            for node in found.body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        },
    }


def arguments(function: ast.AST) -> list[str]:
    assert isinstance(function, ast.FunctionDef)
    return [argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)]


def hooks(script: Path) -> dict[str, list[str]]:
    return {name: arguments(node) for name, node in members(script, "ReportCompute").items() if name.startswith("on_")}


def keywords(script: Path, call: str) -> set[str]:
    """What a call of this name is given by keyword."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    (found,) = (n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == call)
    return {str(keyword.arg) for keyword in found.keywords}


def test_the_trainer_has_every_name_that_the_hugging_face_example_uses() -> None:
    script, sources = EXAMPLES / "huggingface/train.py", BROUGHT / "sources" / "transformers"
    theirs = members(sources / "trainer_callback.py", "TrainerCallback")
    for name, given in hooks(script).items():
        assert arguments(theirs[name]) == given
    state = members(sources / "trainer_callback.py", "TrainerState")
    used = {
        node.attr
        for node in ast.walk(ast.parse(script.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "state"
    }
    assert {"total_flos", "num_input_tokens_seen", "is_world_process_zero"} == used <= state.keys()
    options = members(sources / "training_args.py", "TrainingArguments")
    assert keywords(script, "TrainingArguments") <= options.keys()
    trainer = members(sources / "trainer.py", "Trainer")
    assert keywords(script, "Trainer") <= set(arguments(trainer["__init__"]))


def test_lightning_has_every_name_that_its_example_uses() -> None:
    script, sources = EXAMPLES / "lightning/train.py", BROUGHT / "sources" / "lightning" / "pytorch"
    theirs = members(sources / "callbacks" / "callback.py", "Callback")
    for name, given in hooks(script).items():
        assert arguments(theirs[name]) == given
    trainer = members(sources / "trainer" / "trainer.py", "Trainer")
    assert keywords(script, "lightning.Trainer") <= set(arguments(trainer["__init__"]))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.parent.name)
def test_no_example_imports_anything_of_ours(script: Path) -> None:
    ours = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()} | {"flopledger"}
    imported = set()
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module.split(".")[0])
    assert imported & ours == set()
    brought = {
        line.split("==")[0].replace("-", "_")
        for line in (script.parent / "requirements.txt").read_text().splitlines(True)
    }
    assert {"opentelemetry_sdk\n", "opentelemetry_exporter_otlp_proto_http\n"} <= brought
    # What an example imports is of the standard library, or in its requirements.
    listed = {name.strip() for name in brought} | {"opentelemetry"} | ({"torch"} if "lightning\n" in brought else set())
    assert imported - set(sys.stdlib_module_names) <= listed


def test_the_pod_is_one_that_kubernetes_takes_and_reports_where_the_agent_listens() -> None:
    job = yaml.safe_load((EXAMPLES / "kubernetes.yaml").read_text(encoding="utf-8"))
    kubernetes_validate.validate(job, "1.30", strict=True)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    environ = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert environ["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"] == "http://$(NODE_ADDRESS):4319/v1/metrics"
    names = list(environ)
    assert names.index("NODE_ADDRESS") < names.index("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"), "else it stays unresolved"
    assert names.index("OTLP_TOKEN") < names.index("OTEL_EXPORTER_OTLP_METRICS_HEADERS")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.parent.name)
def test_the_readme_has_a_row_for_each(script: Path) -> None:
    assert f"({script.parent.name}/train.py)" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
