"""Work whose FLOP are known: matrix products, a training step, bursts. Needs PyTorch on a CUDA device.

A product of an m×k and a k×n matrix is 2mkn. A training step is counted by `compute.architecture`: this loop executes
exactly those products, since it forms the whole square of attention scores and recomputes nothing.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from compute.architecture import Transformer
from compute.precision import Dtype
from standalone.gpu_training import Training, synchronise

if TYPE_CHECKING:
    from collections.abc import Callable


def products(torch: Any, device: str) -> dict[str, tuple[Dtype, Callable[[float], int]]]:
    """By name: the format, and work of so many seconds that returns its FLOP."""
    side = 8_192 if device == "cuda" else 64

    def plain(name: str, m: int = side, n: int = side, k: int = side, *, tf32: bool = False) -> Callable[[float], int]:
        def work(seconds: float) -> int:
            kind = getattr(torch, name)
            torch.backends.cuda.matmul.allow_tf32 = tf32
            # Zeros would draw less power and so hold a clock that real work does not.
            a = torch.randn(m, k, device=device, dtype=torch.float32).to(kind)
            b = torch.randn(k, n, device=device, dtype=torch.float32).to(kind)
            out = torch.empty(m, n, device=device, dtype=kind)
            return repeated(torch, device, seconds, lambda: torch.matmul(a, b, out=out), 2 * m * n * k)

        return work

    def fp8(seconds: float) -> int:
        a = torch.randn(side, side, device=device).to(torch.float8_e4m3fn)
        b = torch.randn(side, side, device=device).to(torch.float8_e4m3fn).t()
        one = torch.ones((), device=device)
        call = lambda: torch._scaled_mm(a, b, scale_a=one, scale_b=one, out_dtype=torch.bfloat16)  # noqa: E731
        return repeated(torch, device, seconds, call, 2 * side**3)

    return {
        "bf16": (Dtype.BF16, plain("bfloat16")),
        "fp16": (Dtype.FP16, plain("float16")),
        "tf32": (Dtype.TF32, plain("float32", tf32=True)),
        "fp8": (Dtype.FP8, fp8),
        "fp64": (Dtype.FP64, plain("float64", side // 2, side // 2, side // 2)),
        "fp32": (Dtype.FP32, plain("float32")),
        "bf16-ragged": (Dtype.BF16, plain("bfloat16", side // 2 + 8, side // 2 + 136, side // 2)),
    }


def repeated(torch: Any, device: str, seconds: float, call: Callable[[], object], flop: int) -> int:
    """Call for so long, never more than a few calls ahead of the device, and wait for all; the FLOP of all calls."""
    calls = 0
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        for _ in range(4):
            call()
            calls += 1
        synchronise(torch, device)
    return calls * flop


def bursts(torch: Any, device: str, seconds: float, seed: int = 7) -> int:
    """Bursts of products between pauses, of random lengths from a hundredth of a second to two."""
    side = 4_096 if device == "cuda" else 64
    a, b = (torch.randn(side, side, device=device).to(torch.bfloat16) for _ in range(2))
    pick = random.Random(seed)
    flop = 0
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        flop += repeated(torch, device, pick.uniform(0.01, 0.8), lambda: torch.matmul(a, b), 2 * side**3)
        time.sleep(pick.uniform(0.01, 2.0))
    return flop


def training(torch: Any, device: str) -> Training:
    """One that fills a large GPU, or on a processor one that only shows that it works."""
    if device == "cuda":
        return Training(torch, device, Transformer(8, 2_048, 8_192, 32_768, 1_024), sequences=8, heads=16)
    return Training(torch, device, Transformer(2, 32, 64, 64, 16), sequences=2, heads=4)
