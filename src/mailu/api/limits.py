"""``/limit``: whom the limits on logging in slow down now, and letting them go."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.exceptions import HTTPException
from starlette.requests import Request

from mailu.api.access import Control, Reader, Writer
from mailu.api.answers import OneLine, done
from mailu.api.lists import LIMITS
from mailu.api.paging import Paged, listed_plain
from mailu.api.shapes import Done
from mailu.auth import in_force
from mailu.control import ControlPlane
from mailu.directory import changes
from mailu.directory.changes import Actor

router = APIRouter(tags=["limit"])


@router.get("/limit", response_model=list[in_force.InForce])
async def list_limits(request: Request, control: Control, caller: Reader, page: Paged) -> OneLine:
    """Limits in force. While there is no Redis each service counts for itself, and only those of this one are seen."""
    caller.require_all()
    found = [asdict(each) for each in await in_force.list_in_force(control.limits)]
    return listed_plain(request, found, LIMITS, page)


@router.delete("/limit")
async def clear_limits(
    control: Control,
    caller: Writer,
    account: Annotated[str | None, Query(max_length=255, description="held against this account")] = None,
    address: Annotated[str | None, Query(max_length=64, description="held against this address or network")] = None,
) -> Done:
    """Forget what is held against an account, an address, both, or (neither given) anybody."""
    caller.require_all()
    try:
        cleared = await in_force.clear(control.limits, account=account, address=address)
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    await asyncio.to_thread(_note, control, caller.actor, account, address)
    return done(f"{cleared} limits were cleared")


def _note(control: ControlPlane, actor: Actor, account: str | None, address: str | None) -> None:
    with control.store.session() as session:
        changes.note(session, actor, "limits.clear", account or "", {"address": address})
