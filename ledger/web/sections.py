"""What the head of every page leads to."""

from __future__ import annotations

SECTIONS = (
    ("/", "Overview"),
    ("/fleet", "Fleet"),
    ("/evidence", "Evidence"),
    ("/verify", "Verify"),
    ("/report", "Report"),
    ("/ask", "Ask"),
)
