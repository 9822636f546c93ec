from __future__ import annotations

import pynvml
import pytest

from agent.devices.nvml.errors import Code, advice, ruling
from agent.errors import Retry, SkipDevice

NEVER_RETURNED_BY_A_QUERY = {
    "ALREADY_INITIALIZED",
    "VGPU_ECC_NOT_SUPPORTED",
    "FREQ_NOT_SUPPORTED",
    "RESET_TYPE_NOT_SUPPORTED",
}


def codes_of_pynvml() -> dict[str, int]:
    prefix = "NVML_ERROR_"
    return {name.removeprefix(prefix): value for name, value in vars(pynvml).items() if name.startswith(prefix)}


def test_every_code_that_a_query_can_return_is_ruled_on() -> None:
    theirs = {name: value for name, value in codes_of_pynvml().items() if name not in NEVER_RETURNED_BY_A_QUERY}
    assert theirs == {code.name: code.value for code in Code}


@pytest.mark.parametrize("code", list(Code))
def test_every_ruling_says_what_is_wrong_and_names_the_device(code: Code) -> None:
    error = ruling(pynvml.NVMLError(code.value), "GPU-1")
    assert advice(code) in str(error)
    assert "GPU-1" in str(error)
    assert isinstance(error, Retry | SkipDevice)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (Code.UNINITIALIZED, Retry),
        (Code.DRIVER_NOT_LOADED, Retry),
        (Code.UNKNOWN, Retry),
        (Code.NO_PERMISSION, SkipDevice),
        (Code.GPU_IS_LOST, SkipDevice),
        (Code.NOT_SUPPORTED, SkipDevice),
    ],
)
def test_a_driver_that_is_away_is_retried_and_a_device_that_cannot_is_skipped(code: Code, kind: type) -> None:
    assert type(ruling(pynvml.NVMLError(code.value), "GPU-1")) is kind


def test_a_code_from_the_future_leaves_the_device_out() -> None:
    error = ruling(pynvml.NVMLError(4242), "GPU-1")
    assert isinstance(error, SkipDevice)
    assert "4242" in str(error)
