"""The process behind ``mailu up --detach``: ``python -m mailu.deploy.background WRITER [FILE]``.

It hosts the agents with the settings in FILE and the environment. WRITER is the descriptor of a pipe that whoever
started it reads: it is closed with the process, and told before why the process ended early.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mailu.deploy import native
from mailu.deploy.source import Source


def main(arguments: Sequence[str]) -> int:
    """Host the agents until told to end."""
    writer = int(arguments[0])
    os.set_inheritable(writer, False)
    source = Source(Path(arguments[1]) if len(arguments) > 1 else None, dict(os.environ))
    try:
        return native.host(source, source.load())
    except BaseException as error:
        os.write(writer, f"{error or repr(error)}\n".encode())
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
