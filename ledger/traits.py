"""What some lines ask of a model beside its compute, declared once per model."""

from __future__ import annotations

TRAITS = (
    "systemic-risk",
    "generates-language",
    "generates-images",
    "generates-video",
    "biological-sequence-data",
)


def known_trait(trait: str) -> str:
    """The same; raises `ValueError` naming all there are for another."""
    if trait not in TRAITS:
        raise ValueError(f"trait {trait!r} is none of: {', '.join(TRAITS)}")
    return trait
