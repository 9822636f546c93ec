"""The same as JSON, for programs: FLOP as decimal strings, times as RFC 3339 in UTC."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(tags=["ledger"])
