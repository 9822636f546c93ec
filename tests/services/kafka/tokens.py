"""Bearer tokens that the broker takes: unsigned ones, which it accepts for tests alone."""

from __future__ import annotations

import base64
import json
import time


def unsigned_token(name: str, expires_in_s: int = 600) -> str:
    """A token for `name`; one with negative time to live has run out."""
    now = int(time.time())
    parts = {"alg": "none"}, {"sub": name, "iat": now - 600, "exp": now + expires_in_s}
    return "".join(base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() + "." for p in parts)
