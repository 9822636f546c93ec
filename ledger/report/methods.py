"""What each way of knowing a number is worth, in a sentence for somebody who has never heard of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

METHOD_LIMITS: Mapping[str, str] = {
    "gpm-cycles": (
        "The GPU's own counters of active tensor cycles, times the operations per cycle of the declared number format. "
        "Counts what was executed, padding and recomputation included. Does not know the format itself, so one that is "
        "not declared widens the bounds. Operations outside the tensor pipes are in the upper bound alone."
    ),
    "gpm": (
        "The GPU's averages of tensor activity between two samples, times clock and operations per cycle. As for cycle "
        "counters, with an allowance for a clock that moved in between."
    ),
    "dcgm": (
        "Tensor activity as DCGM averages it, times clock and operations per cycle, with an allowance for sampling."
    ),
    "busy": (
        "Time with any work on the GPU. Says nothing of what was computed: from nothing to the peak, and no point."
    ),
    "cpu-time": "Processor time times the cores' peak: an upper bound, and no point.",
    "unobserved": "Device time that no counter covers: from nothing to the peak, and no point.",
    "simulated": "Made up by a simulated device, for demonstrations.",
    "reported-rank": (
        "What each process of the training loop says that it computed, added over processes. A statement by the "
        "operator's own code, by formula and not by measurement."
    ),
    "reported-run": (
        "What one process of the training loop says that the whole run computed. A statement by the operator's own "
        "code, by formula and not by measurement."
    ),
    "imported": (
        "Stated after the fact from other records, with its assumptions and under a name; not measured by this ledger."
    ),
    "corrected": "A signed amount that somebody added or took away, with a reason and under a name; not measured.",
}
LIMITS = (
    "The host reports on itself: whoever is root on a node can make its agent sign what it did not measure. Signatures "
    "show that nothing was changed afterwards, not that it was true at first.",
    "Operations are counted as dense: work that sparsity skipped is not added. All number formats count the same.",
    "Counters measure recomputed activations, which the Commission's guidelines leave out of training compute.",
    "Only devices with an agent are counted. Coverage says against what; without a declared world size it is unknown.",
    "What a run was for is declared by people and not measured.",
)
