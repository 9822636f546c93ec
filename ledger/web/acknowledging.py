"""Taking an alert on, for operators: the only thing that anybody can write through the page. A journal entry."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request
from pydantic import BaseModel, Field

from ledger.assessment.alert import acknowledgement
from ledger.web.entry.gate import entry_of, needs
from ledger.web.entry.roles import Role, Who
from ledger.web.state import PageOf

api = APIRouter(tags=["alerts"])
Operator = Annotated[Who, needs(Role.OPERATOR)]
AlertId = Annotated[str, Path(min_length=1, max_length=64, description="its id, whole")]

_STATE = "SELECT state, acknowledged_by FROM alert_history WHERE alert_id = {alert:String}"


class TakenOn(BaseModel):
    """What is being done about it."""

    note: str = Field(min_length=1, max_length=2_000)


class Acknowledged(BaseModel):
    """The alert's state now; `entry_index` is null where somebody was sooner."""

    alert_id: str
    state: str
    by: str
    entry_index: int | None


@api.post("/alerts/{alert_id}/acknowledgement", responses={403: {}, 404: {}})
def acknowledge(request: Request, page: PageOf, who: Operator, alert_id: AlertId, taken: TakenOn) -> Acknowledged:
    """Take an alert on. The first acknowledgement counts; it stays until what it says is so no longer."""
    found = page.access.query(_STATE, {"alert": alert_id}).dicts()
    if not found:
        raise HTTPException(404, "no alert of this id is on record: see `flopledger alerts list --all`")
    if found[0]["state"] != "raised":
        return Acknowledged(
            alert_id=alert_id, state=found[0]["state"], by=found[0]["acknowledged_by"], entry_index=None
        )
    said = {"who": who.name, "role": who.role, "way": who.way, "from": request.state.caller.address}
    entry_of(request).audit.will(**said, acknowledges=alert_id, note=taken.note)
    (index,) = page.access.append([acknowledgement(alert_id, taken.note, who.name)])
    return Acknowledged(alert_id=alert_id, state="acknowledged", by=who.name, entry_index=index)
