"""The service ``admin`` of a small host: ``python -m mailu.servers.porter HTTP READY PROGRAM...``.

The web application takes more memory than all mail daemons together, and is used for some minutes a day. The porter is
what runs meanwhile: it listens on the socket HTTP, starts PROGRAM (an absolute path and arguments) when somebody
connects, hands it the listening socket, and waits until it ends, which it does by itself when nobody has asked it for
``IDLE_SECONDS``. Who connects while it starts waits in the socket's queue; nothing is refused.

On the socket READY the agent asks whether all is well, without waking anybody. The porter imports as little as it can.
Environment of PROGRAM beside its own: ``MAILU_LISTENER``, the descriptor of the socket; ``MAILU_IDLE_SECONDS``.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from mailu.servers.listening import listen_unix

IDLE_SECONDS = 300
STARTING_SECONDS = 30.0
"""So long a program that was started need not answer yet."""
ANSWER_SECONDS = 0.8
LONGEST_PAUSE_SECONDS = 10.0
_QUESTION = b"GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n"


class Porter:
    """*program* is started when somebody knocks at *door*; *window* is where the agent looks in."""

    def __init__(self, door: socket.socket, window: socket.socket, program: Sequence[str]) -> None:
        self._door, self._window, self._program = door, window, program
        self._child = 0
        self._began = 0.0
        self._pause_seconds = 0.0
        self._resume = 0.0
        self._trouble = ""
        self._ending = False
        # A signal is written here, so that it ends a wait whenever it comes (PEP 475 would go on waiting).
        self._wakeup, end = os.pipe()
        os.set_blocking(end, False)
        signal.set_wakeup_fd(end)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, self._signalled)

    def run(self) -> int:
        """Stay until told to end; then the program has ended too."""
        _say("asleep until somebody asks")
        while not (self._ending and not self._child):
            self._wait()
            self._see_to_child()
        return 0

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD and not self._ending:
            self._ending = True
            if self._child:
                os.kill(self._child, signal.SIGTERM)

    def _wait(self) -> None:
        """Until somebody asks, a signal comes, or the pause after a failure is over."""
        sleeping = not self._child and not self._ending
        pause = self._resume - time.monotonic() if sleeping else 0.0
        watched: list[int | socket.socket] = [self._wakeup, self._window]
        if sleeping and pause <= 0:
            watched.append(self._door)
        asked = select.select(watched, [], [], max(pause, 0.0) or None)[0]
        if self._wakeup in asked:
            os.read(self._wakeup, 4096)
        if self._window in asked:
            self._answer()
        if self._door in asked and not self._ending:
            self._start()

    def _start(self) -> None:
        environment = os.environ | {
            "MAILU_LISTENER": str(self._door.fileno()),
            "MAILU_IDLE_SECONDS": os.environ.get("MAILU_IDLE_SECONDS", str(IDLE_SECONDS)),
        }
        os.set_inheritable(self._door.fileno(), True)
        self._child = os.posix_spawn(self._program[0], list(self._program), environment)
        self._began = time.monotonic()
        _say(f"somebody asks: started (pid {self._child})")
        if self._ending:  # told in just this moment
            os.kill(self._child, signal.SIGTERM)

    def _see_to_child(self) -> None:
        """Take note of its end. A program that fails is not started again at once, however many knock."""
        if not self._child:
            return
        pid, status = os.waitpid(self._child, os.WNOHANG)
        if not pid:
            return
        self._child = 0
        code = os.waitstatus_to_exitcode(status)
        if code and not self._ending:
            self._trouble = f"ended with exit code {code}" if code > 0 else f"was ended by signal {-code}"
            self._pause_seconds = min(max(self._pause_seconds * 2, 0.5), LONGEST_PAUSE_SECONDS)
        else:
            self._trouble, self._pause_seconds = "", 0.0
        self._resume = time.monotonic() + self._pause_seconds
        _say(self._trouble or "asleep until somebody asks")

    def _answer(self) -> None:
        """Answer the agent: 200 asleep or awake and answering, 503 and why otherwise."""
        try:
            visitor, _ = self._window.accept()
        except OSError:
            return
        with visitor:
            trouble = self._ask() if self._child else self._trouble
            status = "503 Service Unavailable" if trouble else "200 OK"
            try:
                visitor.settimeout(ANSWER_SECONDS)
                visitor.recv(4096)
                visitor.sendall(f"HTTP/1.0 {status}\r\n\r\n{trouble or 'ready'}\n".encode())
            except OSError:
                return

    def _ask(self) -> str:
        """Why the running program does not answer; empty when it does, or may not yet."""
        if time.monotonic() - self._began < STARTING_SECONDS:
            return ""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(ANSWER_SECONDS)
                connection.connect(self._door.getsockname())
                connection.sendall(_QUESTION)
                answer = connection.recv(4096).decode(errors="replace")
        except OSError as error:
            return f"no answer: {error}"
        return "" if " 200 " in answer.partition("\r\n")[0] else answer.rpartition("\r\n")[2].strip() or "no answer"


def _say(text: str) -> None:
    print(f"the web application is {text}" if text.startswith("asleep") else f"the web application: {text}", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run. Returns 71 (EX_OSERR) when it cannot listen."""
    http, ready, *program = arguments
    try:
        door, window = listen_unix(Path(http)), listen_unix(Path(ready))
    except OSError as error:
        print(f"cannot listen: {error}", flush=True)
        return os.EX_OSERR
    return Porter(door, window, program).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
