"""The web pages in front of the real daemons."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.daemons.server import ADMIN, DOMAIN, PASSWORD, Server

MARK = re.compile(r'name="form_mark" value="([0-9a-f]+)"')
NEW_PASSWORD = "a new horse battery"


@contextmanager
def visitor(server: Server, email: str | None = None, password: str = PASSWORD) -> Iterator[httpx.Client]:
    """A browser of few words; *email* has signed on."""
    headers = {"Host": f"mail.{DOMAIN}"}
    with httpx.Client(base_url=f"https://{server.address}", verify=False, headers=headers, timeout=30) as client:
        if email is not None:
            assert send(client, "/sso/login", email=email, pw=password).status_code == 303
        yield client


def send(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """Fill the form at *path* in."""
    mark = MARK.search(client.get(path).text)
    assert mark, f"{path} has no form"
    return client.post(path, data={"form_mark": mark[1], **fields})


def written_below(folder: Path, text: str) -> list[Path]:
    """The files that hold *text*."""
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_the_secret_of_a_reset_link_is_written_down_nowhere(stack: Server) -> None:
    lost = stack.add_user("forgetful")
    with visitor(stack, ADMIN) as admin:
        shown = send(admin, f"/admin/user/reset/{lost}").text
    link = re.search(rf"https://mail\.{re.escape(DOMAIN)}(/sso/reset#([\w-]{{40,}}))", shown)
    assert link
    path, secret = link[1], link[2]
    with visitor(stack) as owner:
        assert owner.get(path).status_code == 200
        answer = send(owner, path, secret=secret, pw=NEW_PASSWORD, pw2=NEW_PASSWORD)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sso/login")
    stack.wait_for_log("front", '"POST /sso/reset HTTP/1.1" 303')
    for hidden in (secret, NEW_PASSWORD):
        assert written_below(stack.root, hidden) == []
    with visitor(stack, lost, NEW_PASSWORD):
        pass
    stack.command("user-delete", lost, "-r")
