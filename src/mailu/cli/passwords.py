"""Passwords that need not be on the process list."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer

from mailu.cli.failures import CommandError

PasswordArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="PASSWORD",
        help="The password; - reads one line from standard input, and without it you are asked. "
        "Written here, it is visible to everybody on this machine for a moment.",
        show_default=False,
    ),
]

_MAX_CHARACTERS = 4096


def obtain_password(given: str | None) -> str:
    """Return *given*, or read one line from standard input: without an echo, and twice, from a terminal.

    Raises CommandError when nothing is there, or the two differ.
    """
    if given not in {None, "-"}:
        return _checked(str(given))
    if given is None and sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if password != getpass.getpass("The same again: "):
            raise CommandError("the two passwords differ; nothing was changed")
        return _checked(password)
    return _checked(sys.stdin.readline(_MAX_CHARACTERS + 2).removesuffix("\n").removesuffix("\r"))


def _checked(password: str) -> str:
    if not password:
        raise CommandError("the password is empty; give it as an argument, or as a line on standard input")
    if len(password) > _MAX_CHARACTERS:
        raise CommandError(f"the password is longer than {_MAX_CHARACTERS} characters")
    return password
