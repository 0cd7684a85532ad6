"""The mail queue: what waits, why, and what to do about it. Postfix's own programs do the work."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from mailu.cli.failures import CommandError
from mailu.cli.output import JsonOption, print_json, print_table, printable, readable_size
from mailu.cli.surroundings import surroundings
from mailu.cli.words import HELP_OPTIONS
from mailu.daemons.postfix import queue

_T = TypeVar("_T")
IdsArgument = Annotated[list[str], typer.Argument(metavar="QUEUE_ID", help="As `mailu queue list` shows them.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    group = typer.Typer(
        help="The mail queue: list it, say why mail waits, try again, delete.",
        context_settings={"help_option_names": HELP_OPTIONS},
        no_args_is_help=True,
    )
    group.command("list")(queue_list)
    group.command("why")(why)
    group.command("retry")(retry)
    group.command("hold")(hold)
    group.command("release")(release)
    group.command("delete")(delete)
    app.add_typer(group, name="queue")


def queue_list(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the messages that wait, the oldest first."""
    messages = read_queue(_configuration(context))
    if as_json:
        print_json(messages)
        return
    print_table(
        ("Queue id", "State", "Since", "Size", "From", "To", "Why"),
        (
            (
                message["queue_id"],
                message["queue_name"],
                message["arrived_at"],
                readable_size(message["message_size"]),
                message["sender"] or "<>",
                [recipient["address"] for recipient in message["recipients"]],
                _reasons(message)[0] if _reasons(message) else "",
            )
            for message in messages
        ),
        empty="The queue is empty.",
    )


def why(
    context: typer.Context, queue_id: Annotated[str, typer.Argument(metavar="QUEUE_ID")], as_json: JsonOption = False
) -> None:
    """Say for each recipient of a message why it waits."""
    message = _one(read_queue(_configuration(context)), queue_id)
    if as_json:
        print_json(message)
        return
    print(f"{message['queue_id']} from {printable(message['sender'] or '<>')}, here since {message['arrived_at']}")
    for recipient in message["recipients"]:
        reason = recipient.get("delay_reason") or _without_reason(message["queue_name"])
        print(f"  {printable(recipient['address'])}: {printable(reason)}")


def retry(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="QUEUE_ID", help="None: all of them.")] = None,
) -> None:
    """Try to deliver waiting mail now."""
    configuration = _configuration(context)
    if not ids:
        _done(queue.retry(configuration, []))
        print("All waiting mail is tried now.")
        return
    waiting = {message["queue_id"] for message in read_queue(configuration)}
    _require_known(ids, waiting)
    _done(queue.retry(configuration, ids))
    print(f"{_count(len(ids))} tried now.")


def hold(context: typer.Context, ids: IdsArgument) -> None:
    """Keep messages back until they are released."""
    _supervise(_configuration(context), "hold", ids, "held")


def release(context: typer.Context, ids: IdsArgument) -> None:
    """Let held messages go on."""
    _supervise(_configuration(context), "release", ids, "released")


def delete(context: typer.Context, ids: IdsArgument) -> None:
    """Delete messages. Their senders are not told."""
    _supervise(_configuration(context), "delete", ids, "deleted")


def read_queue(configuration: Path) -> list[dict[str, Any]]:
    """The queue as Postfix tells it, the oldest message first, with ``arrived_at`` in RFC 3339."""
    messages = _done(queue.waiting(configuration))
    for message in messages:
        message["arrived_at"] = datetime.fromtimestamp(message["arrival_time"], UTC).isoformat(timespec="seconds")
    return messages


def _configuration(context: typer.Context) -> Path:
    """The folder of Postfix's configuration in force. Raises CommandError where there is none."""
    folder = surroundings(context).places.service("smtp") / "etc"
    if not (folder / "main.cf").exists():
        raise CommandError(f"the smtp service has never run here: {folder}/main.cf is not there; expected `mailu up`")
    return folder


def _supervise(configuration: Path, action: queue.Action, ids: list[str], state: str) -> None:
    """Postfix is silent about ids that it does not find or that are in a queue where *action* means nothing, so look
    before, and count after."""
    wanted = list(dict.fromkeys(ids))
    _require_known(wanted, {message["queue_id"] for message in read_queue(configuration)})
    number = _done(queue.change(configuration, action, wanted))
    if number < len(wanted):
        raise CommandError(f"{_count(number)} {state}, of {len(wanted)}: the others are not in a state for that")
    print(f"{_count(number)} {state}.")


def _require_known(ids: list[str], waiting: set[str]) -> None:
    if unknown := [queue_id for queue_id in ids if queue_id not in waiting]:
        raise CommandError(f"{', '.join(unknown)} is not in the queue; nothing was changed")


def _one(messages: list[dict[str, Any]], queue_id: str) -> dict[str, Any]:
    for message in messages:
        if message["queue_id"] == queue_id:
            return message
    raise CommandError(f"{queue_id} is not in the queue; `mailu queue list` shows what is")


def _done(work: Coroutine[Any, Any, _T]) -> _T:
    """What the owner of the queue says. Raises CommandError in its words."""
    try:
        return asyncio.run(work)
    except queue.QueueError as error:
        raise CommandError(str(error)) from None


def _reasons(message: dict[str, Any]) -> list[str]:
    return [recipient["delay_reason"] for recipient in message["recipients"] if recipient.get("delay_reason")]


def _without_reason(queue_name: str) -> str:
    return {
        "active": "it is being delivered now",
        "incoming": "it has only just arrived",
        "hold": "it is held until it is released",
        "maildrop": "it was handed in on this machine and is not taken up yet",
    }.get(queue_name, "it was not tried yet")


def _count(number: int) -> str:
    return "1 message is" if number == 1 else f"{number} messages are"
