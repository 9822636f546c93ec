"""All kinds of alerts; each has a page in docs/runbooks."""

from __future__ import annotations

ABOUT_A_LINE = ("planned", "forecast", "upper_bound", "estimate", "foreseeable")
"""Something about a line in law: legal periods hang on these."""
OPERATIONAL = (
    "coverage_low",
    "agent_silent",
    "unattributed_share",
    "totals_apart",
    "quarantine_storm",
    "device_shared",
    "collector_stopped",
)
"""Something about the counting itself."""
KINDS = (*ABOUT_A_LINE, *OPERATIONAL)
