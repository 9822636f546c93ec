"""Number formats a matrix or vector unit can work in."""

from enum import StrEnum


class Dtype(StrEnum):
    """The format a run declares it multiplies in; `UNDECLARED` widens bounds to all that the pipe can do."""

    FP64 = "fp64"
    FP32 = "fp32"
    TF32 = "tf32"
    BF16 = "bf16"
    FP16 = "fp16"
    FP8 = "fp8"
    FP4 = "fp4"
    INT8 = "int8"
    UNDECLARED = "undeclared"
