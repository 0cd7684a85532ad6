"""Questions whose answer needs a large library: a program that ends with the answer finds it.

The agent lives as long as the server and keeps whatever it loads. Reading certificates takes 8 MiB, for some
milliseconds every hour.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")

SECONDS = 60.0
_SHOWN_LINES = 3


class NotFoundOut(OSError):
    """The program ended without an answer; the text has its last words."""


def ask(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Return what *function*, one of a module's own, returns in a process of its own, or raise what it raises there.

    Raises NotFoundOut.
    """
    question = pickle.dumps((function, arguments, named))
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__], input=question, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotFoundOut(f"{function.__name__}: no answer for {SECONDS:.0f} s") from None
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()[-_SHOWN_LINES:]
        raise NotFoundOut(f"{function.__name__}: exit code {done.returncode}: {' / '.join(words)}")
    returned, value = pickle.loads(done.stdout)  # noqa: S301 - a process of ours wrote it
    if not returned:
        raise value
    return cast(T, value)


def main() -> int:
    """Answer the question on the standard input."""
    function, arguments, named = pickle.load(sys.stdin.buffer)  # noqa: S301 - a process of ours wrote it
    answer: tuple[bool, Any]
    try:
        answer = True, function(*arguments, **named)
    except Exception as error:
        answer = False, error
    sys.stdout.buffer.write(pickle.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
