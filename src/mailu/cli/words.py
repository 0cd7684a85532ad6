"""The group of all commands: two words where one is taken, and errors as one line on standard error."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from mailu.cli.failures import sentences

HELP_OPTIONS = ["-?", "-h", "--help"]


class Words(TyperGroup):
    """A group in which a command's name may be two words, such as ``user list``.

    ``user LOCALPART DOMAIN PASSWORD`` is older than ``user list``, and ``list`` is a localpart like any other. So the
    second word is taken as part of the name only when no further argument follows it, options apart:
    ``user list --json`` lists, ``user list example.com secret`` makes list@example.com.
    """

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        if len(args) > 1 and (len(args) == 2 or args[2].startswith("-")):
            both = " ".join(args[:2])
            if command := self.get_command(ctx, both):
                return both, command, args[2:]
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command. What is known to go wrong becomes ``Error: ...`` and exit code 1."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            lines = sentences(error)
            if lines is None:
                raise
            for line in lines:
                print(f"Error: {line}", file=sys.stderr)
            raise typer.Exit(1) from error
