"""Deleted mailboxes whose mail is kept: list them, bring one back, erase what is due."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailu.cli.failures import CommandError
from mailu.cli.output import JsonOption, print_json, print_table
from mailu.cli.privileges import become_owner_of
from mailu.cli.surroundings import Surroundings, surroundings
from mailu.cli.words import HELP_OPTIONS

if TYPE_CHECKING:
    from mailu.directory.models import Retired


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    group = typer.Typer(
        help="Deleted mailboxes whose mail is kept for RETENTION_DAYS.",
        context_settings={"help_option_names": HELP_OPTIONS},
        no_args_is_help=True,
    )
    group.command("list")(list_retired)
    group.command("restore")(restore)
    group.command("erase")(erase)
    app.add_typer(group, name="retired")


def list_retired(context: typer.Context, as_json: JsonOption = False) -> None:
    """List deleted mailboxes that can be brought back."""
    rows = _kept(surroundings(context), due_only=False)
    if as_json:
        print_json(rows)
        return
    columns = ("address", "deleted", "kept until", "folder")
    cells = [(row["email"], row["deleted_at"], row["purge_after"], row["home"]) for row in rows]
    print_table(columns, cells, empty="No deleted mailbox is kept.")


def restore(context: typer.Context, email: Annotated[str, typer.Argument(help="The address it had.")]) -> None:
    """Bring back the mailbox of an address that was deleted last: its mail, settings, password and tokens."""
    from mailu.directory import changes

    here = surroundings(context)
    with here.store.session() as session:
        user = changes.restore_user(session, email, actor=here.actor, enforce_limits=False)
        print(f"{user.email} is back.")


def erase(context: typer.Context, as_json: JsonOption = False) -> None:
    """Remove the mail of mailboxes that were deleted longer than RETENTION_DAYS ago. Runs by itself once a day."""
    here = surroundings(context)
    erased = []
    for row in _in_child(partial(_kept, here, due_only=True)):
        _in_child(partial(_remove, here.settings.root / "mail", row["home"]))
        _in_child(partial(_forget, here, row["id"]))
        erased.append(row["email"])
    if as_json:
        print_json(erased)
    elif erased:
        print("Erased: " + ", ".join(erased) + ".")


def _kept(here: Surroundings, *, due_only: bool) -> list[dict[str, Any]]:
    from datetime import UTC, datetime

    from sqlalchemy import select

    from mailu.directory import changes
    from mailu.directory.models import Retired

    with here.store.read() as session:
        found = (
            changes.due_for_purge(session, datetime.now(UTC).date())
            if due_only
            else session.scalars(select(Retired).order_by(Retired.email, Retired.id)).all()
        )
        return [_shown(row) for row in found]


def _shown(row: Retired) -> dict[str, Any]:
    return {
        "id": row.id,
        "email": row.email,
        "deleted_at": row.deleted_at.isoformat(timespec="seconds"),
        "purge_after": row.purge_after.isoformat(),
        "home": row.home,
    }


def _forget(here: Surroundings, retired_id: int) -> None:
    from mailu.directory import changes

    with here.store.session() as session:
        changes.forget_retired(session, retired_id)


def _remove(mail: Path, home: str) -> None:
    """Remove one home below *mail*, as the user who owns all mail: a link planted in it leads nowhere else."""
    folder = mail / home
    if mail not in folder.parents or ".." in folder.parts:
        raise CommandError(f"{home} is not a folder below {mail}; nothing was removed")
    become_owner_of(mail)
    if folder.is_dir():
        shutil.rmtree(folder)


def _in_child(work: Callable[[], Any]) -> Any:
    """Run *work* in a child, which may give up root's rights, and return what it returned.

    The database belongs to one user, mail to another. Raises CommandError with the child's words.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _answer(work, writing)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    result = json.loads(text or '{"error": "a child process was ended"}')
    if "error" in result:
        raise CommandError(result["error"])
    return result["value"]


def _answer(work: Callable[[], Any], writing: int) -> None:
    try:
        result = {"value": work()}
    except Exception as error:
        result = {"error": str(error) or repr(error)}
    with os.fdopen(writing, "w") as answer:
        json.dump(result, answer)
    os._exit(0)
