"""Asking the running directory over its loopback port; what can be asked is in ``servers/http.py``."""

from __future__ import annotations

import http.client
from contextlib import closing


class NoAnswer(Exception):
    """The directory does not run, or says nothing that can be read; the text says which."""


class NotServed(Exception):
    """The directory answers something else than 200; *status* is what."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"the directory answers {status}: {text}")
        self.status = status


def ask_directory(
    port: int, secret: str, method: str, target: str, *, body: bytes | None = None, seconds: float = 10
) -> bytes:
    """Send one request and return the body of the answer. Raises NoAnswer and NotServed."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)) as connection:
        try:
            connection.request(method, target, body, headers={"X-Mailu-Secret": secret})
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"the directory does not answer on port {port}: {error}") from None
    if response.status != 200:
        raise NotServed(response.status, answer.decode(errors="replace").strip())
    return answer
