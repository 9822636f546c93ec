from __future__ import annotations

import ast
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.reports.book import ReportBook
from agent.reports.receiver import Receiver
from compute.architecture import Transformer
from standalone import training_loop
from standalone.training_loop import Model, Products, Shape, corpus, train

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(training_loop.__file__)
TINY = Shape(layers=2, width=8, feed_forward=12, vocabulary=11, context=5, sequences=3, heads=2)
TINY_OPTIONS = ["--layers=1", "--width=8", "--feed-forward=16", "--vocabulary=16", "--context=8", "--sequences=4"]


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    heads, size = draw(st.integers(1, 4)), st.integers(1, 12)
    return Shape(
        layers=draw(st.integers(1, 3)),
        width=heads * draw(st.integers(1, 6)),
        feed_forward=draw(size),
        vocabulary=draw(size),
        context=draw(size),
        sequences=draw(st.integers(1, 4)),
        heads=heads,
    )


def analytic(shape: Shape) -> Transformer:
    return Transformer(shape.layers, shape.width, shape.feed_forward, shape.vocabulary, shape.context)


@given(shapes(), st.integers(1, 3))
@settings(deadline=None, max_examples=40)
def test_what_is_executed_is_what_the_architecture_says(shape: Shape, steps: int) -> None:
    result = train(shape, 0, lambda done: done < steps, lambda *_: None)
    assert result["flop"] == analytic(shape).training_flop(shape.sequences) * steps
    assert result["tokens"] == shape.sequences * shape.context * steps


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5), st.lists(st.integers(1, 3), max_size=2))
def test_a_product_counts_two_flop_per_multiplication(m: int, k: int, n: int, batch: list[int]) -> None:
    product = Products()
    result = product(np.ones((*batch, m, k)), np.ones((*batch, k, n)))
    assert product.flop == 2 * m * k * n * math.prod(batch)
    assert (result == k).all()


def test_every_product_goes_through_one_function() -> None:
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    names = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    products = {"matmul", "dot", "vdot", "inner", "outer", "einsum", "tensordot", "linalg", "convolve", "correlate"}
    assert [name for name in names if name in products] == ["matmul"]
    assert not any(isinstance(node, ast.MatMult) for node in ast.walk(tree))


def test_it_imports_nothing_of_ours() -> None:
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    roots = {name.partition(".")[0] for name in modules}
    assert roots <= sys.stdlib_module_names | {"numpy", "opentelemetry"}


@pytest.fixture(scope="module")
def model() -> Model:
    """In double precision, with weights large enough that every path carries a gradient."""
    model = Model(TINY, seed=0, dtype=np.float64)
    random = np.random.default_rng(1)
    for name, weights in model.weights.items():
        model.weights[name] = weights + 0.3 * random.standard_normal(weights.shape)
    return model


@pytest.mark.parametrize("name", list(Model(TINY, seed=0).weights))
def test_the_backward_pass_agrees_with_numerical_differences(model: Model, name: str) -> None:
    data = corpus(np.random.default_rng(2), TINY)
    gradient = model.step(data).gradients[name]
    weights = model.weights[name]
    assert gradient.shape == weights.shape
    numerical = np.zeros_like(weights)
    step = 1e-5
    for index in np.ndindex(weights.shape):
        at = weights[index]
        weights[index] = at + step
        above = model.step(data).loss
        weights[index] = at - step
        below = model.step(data).loss
        weights[index] = at
        numerical[index] = (above - below) / (2 * step)
    assert np.abs(gradient).max() > 1e-4
    np.testing.assert_allclose(gradient, numerical, rtol=1e-5, atol=1e-8)


def test_a_token_never_sees_a_later_one(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    cross_entropy = training_loop._cross_entropy

    def spy(logits: Any, targets: Any) -> Any:
        seen.append(logits)
        return cross_entropy(logits, targets)

    monkeypatch.setattr(training_loop, "_cross_entropy", spy)
    data = corpus(np.random.default_rng(2), TINY)
    changed = data.copy()
    changed[:, 3] = (changed[:, 3] + 1) % TINY.vocabulary
    model.step(data)
    model.step(changed)
    before, after = (logits.reshape(TINY.sequences, TINY.context, TINY.vocabulary) for logits in seen)
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert (before[:, 3:] != after[:, 3:]).any(axis=-1).all()


def test_the_loss_falls_well_below_guessing() -> None:
    shape = Shape(layers=2, width=16, feed_forward=32, vocabulary=8, context=8, sequences=16, heads=2)
    result = train(shape, 0, lambda done: done < 150, lambda *_: None)
    assert result["loss_first"] == pytest.approx(math.log(8), rel=0.05)
    assert result["loss_last"] < 0.8 * math.log(8)


def test_one_seed_gives_one_training() -> None:
    first, again, other = (train(TINY, seed, lambda done: done < 3, lambda *_: None) for seed in (5, 5, 6))
    assert first == again != other


def test_the_corpus_follows_from_its_first_two_tokens() -> None:
    shape = Shape(sequences=200)
    rows = corpus(np.random.default_rng(0), shape)
    assert rows.shape == (200, shape.context + 1)
    strides = (rows[:, 1:] - rows[:, :-1]) % shape.vocabulary
    assert (strides == strides[:, :1]).all()
    assert len(np.unique(strides)) == training_loop.LONGEST_STRIDE


@pytest.fixture
def book() -> ReportBook:
    return ReportBook()


@pytest.fixture
def environment(book: ReportBook) -> Iterator[dict[str, str]]:
    receiver = Receiver(book, port=0)
    receiver.start()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "FLOPLEDGER_"))}
    yield clean | {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"http://127.0.0.1:{receiver.port}/v1/metrics"}
    receiver.close()


def run(environment: dict[str, str], *options: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *TINY_OPTIONS, *options],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stderr == ""
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_what_the_receiver_heard_is_what_the_loop_executed(book: ReportBook, environment: dict[str, str]) -> None:
    names = {"FLOPLEDGER_RUN_ID": "demo", "FLOPLEDGER_MODEL_ID": "small", "FLOPLEDGER_PURPOSE": "fine-tuning"}
    result = run(environment | names, "--steps=7")
    shape = Transformer(*(result[name] for name in ("layers", "width", "feed_forward", "vocabulary", "context")))
    [reported] = book.take()[0]
    assert result["steps"] == 7
    assert reported.flop == result["flop"] == shape.training_flop(result["sequences"]) * 7
    assert reported.flop_low == reported.flop_high == reported.flop
    assert reported.tokens == result["tokens"] == 7 * 4 * 8
    key = reported.key
    assert (key.run, key.model, key.purpose, key.dtype, key.method) == (
        "demo",
        "small",
        "fine-tuning",
        "fp32",
        "reported-rank",
    )
    assert set(result) == {
        *("steps", "tokens", "flop", "layers", "width", "feed_forward", "vocabulary", "context", "sequences"),
        *("loss_first", "loss_last", "seconds"),
    }


def test_time_is_up_after_a_whole_step(book: ReportBook, environment: dict[str, str]) -> None:
    result = run(environment, "--seconds=0")
    [reported] = book.take()[0]
    assert (result["steps"], reported.flop) == (1, result["flop"])
    assert reported.key.run.startswith("training-loop-")


def test_opentelemetrys_own_variable_may_name_the_run(book: ReportBook, environment: dict[str, str]) -> None:
    run(environment | {"OTEL_RESOURCE_ATTRIBUTES": "flopledger.run.id=named"}, "--steps=1")
    assert [reported.key.run for reported in book.take()[0]] == ["named"]


def test_told_to_stop_it_reports_what_it_did(book: ReportBook, environment: dict[str, str]) -> None:
    command = [sys.executable, str(SCRIPT), *TINY_OPTIONS, "--seconds=600", "--verbose"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("step 1: loss ")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert sum(reported.flop for reported in book.take()[0]) == json.loads(out)["flop"]


@pytest.mark.parametrize("options", [["--width=10", "--heads=4"], ["--layers=0"], ["--steps=1", "--seconds=1"]])
def test_sizes_that_do_not_fit_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        training_loop.main(options)
    assert options[0].partition("=")[0] in capsys.readouterr().err
