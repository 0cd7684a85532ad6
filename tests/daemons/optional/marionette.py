"""Thunderbird without a screen, driven by its own remote protocol (Marionette, protocol 3): JSON over TCP."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.daemons.island import Island
from tests.daemons.server import until

PORT = 2828
PREFERENCES = {
    "marionette.port": PORT,
    # Only what the domain itself says counts: neither Mozilla's data base nor the provider of its MX.
    "mailnews.auto_config_url": "",
    "mailnews.mx_service_url": "",
    "mailnews.start_page.enabled": False,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.spotlight.firstRunDone": True,
    "mail.winsearch.firstRunDone": True,
    "app.update.auto": False,
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "security.OCSP.enabled": 0,
    "toolkit.telemetry.enabled": False,
}


class Thunderbird:
    """A connection to a running one. ``run`` executes a script where its own code runs."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._read()  # its greeting
        self._number = 0
        self._ask("WebDriver:NewSession", {"strictFileInteractability": True})
        self._ask("Marionette:SetContext", {"value": "chrome"})
        self._ask("WebDriver:SetTimeouts", {"script": 120_000})

    def run(self, script: str, *arguments: object) -> Any:
        """The body of an async function; returns what it returns. Fails with its error."""
        wrapped = f"""
            const done = arguments[arguments.length - 1];
            const given = [...arguments].slice(0, -1);
            (async () => {{ {script} }})().then(
                value => done({{value}}), error => done({{error: `${{error}} ${{error?.stack ?? ""}}`}})
            );"""
        answer = self._ask("WebDriver:ExecuteAsyncScript", {"script": wrapped, "args": list(arguments)})["value"]
        assert "error" not in answer, answer["error"]
        return answer.get("value")

    def quit(self) -> None:
        """End it as people do."""
        with suppress(OSError, AssertionError, ValueError):
            self._ask("Marionette:Quit", {"flags": ["eForceQuit"]})

    def _ask(self, command: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        text = json.dumps([0, self._number, command, parameters])
        self._socket.sendall(f"{len(text.encode())}:{text}".encode())
        kind, number, error, result = self._read()
        assert (kind, number) == (1, self._number)
        assert error is None, error
        found: dict[str, Any] = result
        return found

    def _read(self) -> Any:
        size = b""
        while not size.endswith(b":"):
            size += self._octets(1)
        return json.loads(self._octets(int(size[:-1])))

    def _octets(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            more = self._socket.recv(count - len(found))
            assert more, "Thunderbird closed the connection"
            found += more
        return found


@contextmanager
def thunderbird(island: Island, folder: Path, ca_file: Path) -> Iterator[Thunderbird]:
    """Run one on the island, with a new profile in *folder* that trusts the authority in *ca_file*."""
    profile = folder / "profile"
    profile.mkdir()
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines) + "\n")
    for words in (["-N", "--empty-password"], ["-A", "-n", "test", "-t", "CT,,", "-i", str(ca_file)]):
        subprocess.run(["certutil", *words, "-d", f"sql:{profile}"], check=True, capture_output=True)
    arguments = ["--headless", "--profile", str(profile), "--no-remote", "--marionette", "--remote-allow-system-access"]
    with (folder / "thunderbird.log").open("wb") as log:
        environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"}
        process = subprocess.Popen(
            [*island.machine.command, "thunderbird", *arguments], stdout=log, stderr=log, env=environment
        )
    try:
        connection = until(lambda: _connect(island, process), seconds=120, what="Thunderbird")
        with connection:
            client = Thunderbird(connection)
            yield client
            client.quit()
    finally:
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()


def _connect(island: Island, process: subprocess.Popen[bytes]) -> socket.socket | None:
    assert process.poll() is None, "Thunderbird ended"
    with island.machine.here(), suppress(OSError):
        return socket.create_connection(("127.0.0.1", PORT), timeout=150)
    return None
