"""The program ``flask``, for scripts that say ``flask mailu COMMAND`` or ``flask db upgrade``."""

from __future__ import annotations

import sys


def translate(arguments: list[str]) -> list[str] | None:
    """The same in words of ``mailu``: ``mailu`` before a command is dropped, ``db`` stays. None for anything else."""
    match arguments:
        case ["mailu", *rest]:
            return rest
        case ["db", *_]:
            return arguments
        case _:
            return None


def main() -> None:
    """Run one command as ``flask`` was once used for it."""
    translated = translate(sys.argv[1:])
    if translated is None:
        given = " ".join(sys.argv[1:2]) or "nothing"
        print(
            f"Error: flask: {given} is not understood; expected flask mailu COMMAND, or flask db upgrade",
            file=sys.stderr,
        )
        sys.exit(2)
    from mailu.cli import build_app

    build_app()(args=translated, prog_name="mailu")
