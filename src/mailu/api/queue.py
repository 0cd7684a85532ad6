"""``/queue``: mail that waits, why, trying again, deleting."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.exceptions import HTTPException
from starlette.requests import Request

from mailu import operations
from mailu.api.access import Control, Reader, Writer
from mailu.api.answers import OneLine, done
from mailu.api.lists import QUEUE
from mailu.api.paging import Paged, listed_plain
from mailu.api.shapes import Done, QueueMessage
from mailu.control import ControlPlane
from mailu.directory import changes
from mailu.directory.changes import Actor

router = APIRouter(tags=["queue"])
_MOST_LISTED, _MOST_PAGED = 500, 5000
QueueId = Annotated[str, Path(pattern="^[0-9A-Za-z]{5,30}$")]


@router.get("/queue", response_model=list[QueueMessage])
def list_queue(request: Request, control: Control, caller: Reader, page: Paged) -> OneLine:
    """The messages that wait, the oldest first, with the reason for each recipient: the oldest 500, or a page of the
    oldest 5000."""
    caller.require_all()
    found = _ask(control, "queue", most=_MOST_LISTED if page is None else _MOST_PAGED)
    return listed_plain(request, found["messages"], QUEUE, page)


@router.post("/queue/retry")
def retry_all(control: Control, caller: Writer) -> Done:
    """Try to deliver all waiting mail now."""
    caller.require_all()
    _ask(control, "queue-retry", ids=[])
    _note(control, caller.actor, "queue.retry-all", [])
    return done("All waiting mail is tried now")


@router.get("/queue/{queue_id}", response_model=QueueMessage)
def get_message(control: Control, caller: Reader, queue_id: QueueId) -> OneLine:
    """One message that waits."""
    caller.require_all()
    return OneLine(_find(control, queue_id))


@router.post("/queue/{queue_id}/retry")
def retry(control: Control, caller: Writer, queue_id: QueueId) -> Done:
    """Try to deliver one message now."""
    caller.require_all()
    _find(control, queue_id)
    _ask(control, "queue-retry", ids=[queue_id])
    _note(control, caller.actor, "queue.retry", [queue_id])
    return done(f"Message {queue_id} is tried now")


@router.delete("/queue/{queue_id}")
def delete_message(control: Control, caller: Writer, queue_id: QueueId) -> Done:
    """Delete a message. Its sender is not told."""
    caller.require_all()
    _find(control, queue_id)
    _ask(control, "queue-delete", ids=[queue_id])
    _note(control, caller.actor, "queue.delete", [queue_id])
    return done(f"Message {queue_id} has been deleted")


def _ask(control: ControlPlane, what: str, **values: object) -> dict[str, Any]:
    try:
        return operations.ask(control.places, what, **values)
    except operations.Unreachable:
        raise HTTPException(503, "the queue is not on this machine, or its services do not run") from None
    except operations.NotDone as error:
        raise HTTPException(503, str(error)) from None


def _find(control: ControlPlane, queue_id: str) -> dict[str, Any]:
    messages: list[dict[str, Any]] = _ask(control, "queue", most=_MOST_PAGED)["messages"]
    for message in messages:
        if message["id"] == queue_id:
            return message
    raise changes.NotFound("message in the queue", queue_id)


def _note(control: ControlPlane, actor: Actor, action: str, ids: list[str]) -> None:
    with control.store.session() as session:
        changes.note(session, actor, action, "", {"ids": ids})
