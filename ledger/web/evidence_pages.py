"""Pages of evidence: the sealed batches behind an hour of a run, and one of them with its checks and its bytes."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import BaseModel
from starlette.responses import HTMLResponse, Response

from cli.output import plain
from ledger.errors import Refused
from ledger.web.entry.gate import needs
from ledger.web.entry.roles import Role, Who
from ledger.web.evidence import LOOKED_AT, Behind, Piece, behind, moved_before, pieces
from ledger.web.pages import rendered
from ledger.web.state import Page, PageOf
from wire.rfc3339 import format_ns

router = APIRouter(include_in_schema=False)
api = APIRouter(tags=["audit"])
Auditor = Annotated[Who, needs(Role.AUDITOR)]
Agent = Annotated[str, Path(min_length=1, max_length=512, description="public key, base64url")]
Seq = Annotated[int, Path(ge=0, lt=1 << 63)]
Run = Annotated[str, Query(max_length=512)]
Basis = Literal["hardware", "architecture"]
FIRST, LAST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2105, 12, 31, tzinfo=UTC)
NOT_THERE: dict[int | str, dict[str, Any]] = {404: {}}


class BatchBehind(BaseModel):
    """A batch that says something of the run in the hour; FLOP are where its meters stood, as decimal strings."""

    agent: str
    chain: str
    seq: int
    node: str
    sealed_at: str
    excluded_reason: str
    signed: bool
    readings: int
    flop: str | None
    flop_low: str
    flop_high: str


class EvidenceOfHour(BaseModel):
    """What is behind one point."""

    run: str
    basis: str
    hour: str
    batches: list[BatchBehind]
    more: bool


class Checked(BaseModel):
    """One check, made in this request; `holds` is null where there is nothing to check against yet."""

    what: str
    holds: bool | None
    says: str


class BatchShown(BaseModel):
    """A sealed batch with everything that was checked of it, and the signature over its bytes."""

    agent: str
    chain: str
    seq: int
    sha256: str
    signature: str
    schema_version: str
    cluster: str
    node: str
    sealed_at: str
    received_at: str
    excluded_reason: str
    holds: bool
    checks: list[Checked]


class BatchesShown(BaseModel):
    """One batch, or several where a chain was forked."""

    batches: list[BatchShown]


@router.get("/evidence")
def evidence(
    page: PageOf, who: Auditor, run: Run = "", basis: Basis = "hardware", at: datetime | None = None
) -> HTMLResponse:
    """The batches behind an hour of a run; without one, what can be looked up here."""
    del who
    asked = None if at is None else _hour(at)
    hour, found, more = (asked, [], False) if asked is None or not run else _found(page, run, basis, asked)
    return rendered(
        page,
        "evidence.html",
        section="/evidence",
        run=run,
        basis=basis,
        hour_ns=None if hour is None else hour * 10**9,
        earlier=hour != asked,
        found=found,
        more=more,
        looked_at=LOOKED_AT,
    )


@router.get("/evidence/{agent}/{chain}/{seq}")
def batch_page(page: PageOf, who: Auditor, agent: Agent, chain: UUID, seq: Seq) -> HTMLResponse:
    """One place in a chain."""
    del who
    return rendered(page, "batch.html", section="/evidence", pieces=_pieces(page, agent, chain, seq), bits=_bits)


@api.get("/evidence")
def evidence_api(page: PageOf, who: Auditor, run: Run, at: datetime, basis: Basis = "hardware") -> EvidenceOfHour:
    """The sealed batches behind one hour of a run's curve."""
    del who
    hour, found, more = _found(page, run, basis, _hour(at))
    return EvidenceOfHour(
        run=run, basis=basis, hour=format_ns(hour * 10**9), batches=[_behind(one) for one in found], more=more
    )


@api.get("/batches/{agent}/{chain}/{seq}", responses=NOT_THERE)
def batch_api(page: PageOf, who: Auditor, agent: Agent, chain: UUID, seq: Seq) -> BatchesShown:
    """A sealed batch; its hash, signature, columns, chain, key and place in the log are checked now."""
    del who
    return BatchesShown(batches=[_batch(piece) for piece in _pieces(page, agent, chain, seq)])


@api.get("/batches/{agent}/{chain}/{seq}/{part}", response_class=Response, responses=NOT_THERE)
def bytes_api(
    page: PageOf,
    who: Auditor,
    agent: Agent,
    chain: UUID,
    seq: Seq,
    part: Literal["body", "signature"],
    sha256: Annotated[str, Query(pattern=r"^([0-9a-f]{64})?$", description="which, where a chain was forked")] = "",
) -> Response:
    """The signed bytes exactly as the agent sealed them, or the 64 bytes of the signature over them."""
    del who
    found = [piece for piece in _pieces(page, agent, chain, seq) if sha256 in {"", piece.sealed.sha256.hex()}]
    if not found:
        raise HTTPException(404, f"no batch in this place has the hash {sha256}")
    sealed = found[0].sealed
    data, ending = (sealed.body, "json") if part == "body" else (sealed.signature, "sig")
    headers = {
        "content-disposition": f'attachment; filename="batch-{seq}.{ending}"',
        "x-flopledger-sha256": sealed.sha256.hex(),
        "x-flopledger-signature": b64encode(sealed.signature).decode(),
        "x-flopledger-key": sealed.key_id.encode("ascii", "replace").decode(),
    }
    return Response(data, media_type="application/octet-stream", headers=headers)


def _found(page: Page, run: str, basis: str, asked: int) -> tuple[int, list[Behind], bool]:
    """What is behind an hour; where nothing moved in it, behind the last hour before it in which something did."""
    found, more = behind(page.access, run, basis, asked)
    if not found:
        earlier = moved_before(page.access, run, basis, asked)
        if earlier is not None and earlier != asked:
            return earlier, *behind(page.access, run, basis, earlier)
    return asked, found, more


def _pieces(page: Page, agent: str, chain: UUID, seq: int) -> list[Piece]:
    try:
        return pieces(page.access, agent, str(chain), seq)
    except Refused as error:
        raise HTTPException(404, str(error)) from error


def _hour(at: datetime) -> int:
    moment = at if at.tzinfo else at.replace(tzinfo=UTC)
    if not FIRST <= moment <= LAST:
        raise HTTPException(422, "at: between 1970 and 2105, please")
    return int(moment.timestamp()) // 3_600 * 3_600


def _behind(one: Behind) -> BatchBehind:
    return BatchBehind(
        agent=one.agent,
        chain=one.chain,
        seq=one.seq,
        node=one.node,
        sealed_at=format_ns(one.sealed_at_ns),
        excluded_reason=one.excluded_reason,
        signed=one.signed,
        readings=one.readings,
        flop=None if one.flop is None else str(one.flop),
        flop_low=str(one.flop_low),
        flop_high=str(one.flop_high),
    )


def _batch(piece: Piece) -> BatchShown:
    row, sealed = piece.row, piece.sealed
    return BatchShown(
        agent=row["agent"],
        chain=row["chain_text"],
        seq=row["seq"],
        sha256=sealed.sha256.hex(),
        signature=b64encode(sealed.signature).decode(),
        schema_version=row["schema"],
        cluster=row["cluster"],
        node=row["node"],
        sealed_at=format_ns(row["sealed_at_ns"]),
        received_at=format_ns(row["received_at_ns"]),
        excluded_reason=row["excluded_reason"],
        holds=piece.holds,
        checks=[Checked(what=check.what, holds=check.holds, says=check.says) for check in piece.checks],
    )


def _bits(value: Any) -> str:
    return str(plain("", value))
