"""A small daemon for tests of the agent: ``fake_daemon.py CONFIG SOCKET``.

CONFIG holds words: `banner=X` answers X on the socket; `crash` ends at once with 3 and a last word; `slow` ignores
TERM; `child` starts a child that ignores TERM and the parent's end; `mute` never opens the socket;
`crash-on-hup` ends when reloaded with it; `late` takes its time before it handles signals. HUP reads CONFIG again.
"""

import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path

config, door = Path(sys.argv[1]), Path(sys.argv[2])


def words() -> list[str]:
    return config.read_text().split()


def banner() -> str:
    return next((word.partition("=")[2] for word in words() if word.startswith("banner=")), "none")


def stubborn_child() -> None:
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(60)


def main() -> None:
    if "crash" in words():
        print("the disk is on fire", file=sys.stderr, flush=True)
        sys.exit(3)
    if "slow" in words():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "late" in words():
        time.sleep(0.5)
    if "child" in words():
        stubborn_child()
    state = {"banner": banner()}

    def reload(number: int, frame: object) -> None:
        if "crash-on-hup" in words():
            print("reloaded into a wall", file=sys.stderr, flush=True)
            os._exit(4)
        state["banner"] = banner()
        print(f"reloaded as {state['banner']}", flush=True)

    signal.signal(signal.SIGHUP, reload)
    print(f"started as {state['banner']}", flush=True)
    door.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    if "mute" not in words():
        server.bind(str(door))
        server.listen()
    while True:
        if "mute" in words():
            time.sleep(0.05)
            continue
        client, _ = server.accept()
        # Whoever asked while we were stopped has gone meanwhile.
        with contextlib.suppress(BrokenPipeError):
            client.sendall(state["banner"].encode())
        client.close()


main()
