"""How an address resolves, step by step."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mailu.cli.output import JsonOption, print_json
from mailu.cli.relays import TAKEN_FOR
from mailu.cli.surroundings import surroundings


def add_to(app: typer.Typer) -> None:
    """Register the command of this file."""
    app.command("explain")(explain)


def explain(
    context: typer.Context,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Any address, of this server or elsewhere.")],
    sender: Annotated[
        str,
        typer.Option("--from", metavar="SENDER", help="What the lists of senders say about this one."),
    ] = "",
    client: Annotated[str, typer.Option("--client", metavar="IP", help="The same for mail from this machine.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Say what happens to mail for an address, step by step, and who may send as it."""
    from mailu.address import parse_address

    parsed = parse_address(address)
    snapshot = surroundings(context).snapshot()
    answer = _answer(snapshot, parsed)
    if sender or client:
        answer["senders"] = _senders(snapshot, parsed, sender, client)
    if as_json:
        print_json(answer)
        return
    for step in answer["steps"]:
        print(step)
    print(_verdict(answer))
    for line in _sentences(answer.get("senders")):
        print(line)
    if answer["may_send_as"]:
        print(f"May send as it: {', '.join(answer['may_send_as'])}.")


def _answer(snapshot: Any, parsed: Any) -> dict[str, Any]:
    from mailu.directory.lookup import (
        BadRelayTarget,
        is_relay_domain,
        may_be_relay_recipient,
        resolve,
        sender_logins,
        transport,
    )

    resolution = resolve(snapshot, parsed)
    answer: dict[str, Any] = {
        "address": str(parsed),
        "kind": resolution.kind,
        "local": resolution.local,
        "deliver": list(resolution.deliver),
        "steps": list(resolution.steps),
        "may_send_as": list(sender_logins(snapshot, parsed)),
    }
    if not resolution.local and is_relay_domain(snapshot, parsed.domain):
        answer["kind"] = "relay"
        try:
            answer["deliver"] = [transport(snapshot, parsed.domain)]
            taken_for = TAKEN_FOR[snapshot.relays[parsed.domain].recipients]
            answer["steps"] = [f"{parsed.domain} is a relayed domain: its mail is passed on. {taken_for}"]
            if not may_be_relay_recipient(snapshot, parsed):
                answer["kind"], answer["deliver"] = "unknown", []
        except BadRelayTarget as error:
            answer["deliver"] = []
            answer["steps"] = [f"{parsed.domain} is a relayed domain whose target cannot be understood: {error}"]
    elif not resolution.local:
        answer["kind"] = "remote"
    return answer


def _senders(snapshot: Any, parsed: Any, sender: str, client: str) -> dict[str, Any]:
    """What the lists say, with and without proof that it is the sender."""
    from mailu.directory.judging import judge
    from mailu.directory.sender_lists import sender_of

    found: dict[str, Any] = {}
    for name, proven in (("proven", True), ("not_proven", False)):
        judgement = judge(snapshot, parsed, sender_of(sender, client=client, proven=proven))
        found[name] = {
            "refused": judgement.is_refused,
            "mailboxes": [
                {
                    "address": leaf.target,
                    "verdict": leaf.verdict,
                    "entry": leaf.listed.entry.sender if leaf.listed else None,
                    "list": (leaf.listed.owner or "server") if leaf.listed else None,
                }
                for leaf in judgement.leaves
            ],
        }
    return found


def _sentences(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return []
    if found["proven"] == found["not_proven"]:
        return _of_one(found["proven"], "From this sender")
    return [
        *_of_one(found["proven"], "From this sender, when it is proven (SPF, DKIM, DMARC)"),
        *_of_one(found["not_proven"], "From this sender, when it is not proven"),
    ]


def _of_one(judged: dict[str, Any], when: str) -> list[str]:
    lines = [
        f"{when}: the list of {each['list']} says {each['verdict']} for {each['address']}, because of {each['entry']}."
        for each in judged["mailboxes"]
        if each["verdict"]
    ] or [f"{when}: no list says anything."]
    return [*lines, *([f"{when}: refused."] if judged["refused"] else [])]


def _verdict(answer: dict[str, Any]) -> str:
    targets = ", ".join(answer["deliver"])
    match answer["kind"]:
        case "remote":
            return "From outside it is refused; users who are logged in can send to it."
        case "relay":
            return f"It goes to {targets}." if targets else "It waits until the target is corrected."
        case "disabled":
            return "It is refused: disabled."
        case "unknown":
            return "It is refused: there is no such user."
        case _:
            return f"It goes to {targets}."
