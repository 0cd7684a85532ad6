"""Asking the running directory over its loopback port."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mailu.cli.failures import CommandError
from mailu.directory_door import NoAnswer, NotServed
from mailu.directory_door import ask_directory as ask_at_door

if TYPE_CHECKING:
    from mailu.cli.surroundings import Surroundings


def ask_directory(here: Surroundings, method: str, *path: str) -> Any:
    """Send one request for */path[0]/path[1]...* and return the JSON of the answer.

    Raises CommandError when the directory does not run, or does not answer as expected.
    """
    port, secret = _door(here)
    target = "".join(f"/{quote(part, safe='')}" for part in path)
    try:
        body = ask_at_door(port, secret, method, target)
    except NoAnswer as error:
        raise CommandError(f"{error}; see `mailu status`") from None
    except NotServed as error:
        raise CommandError(str(error)) from None
    return json.loads(body)


def _door(here: Surroundings) -> tuple[int, str]:
    """The port and the secret of the directory of this root."""
    from mailu.deploy.ground import port_names

    ports, _ = port_names(here.places)
    secret = here.places.service("directory") / "secret"
    try:
        told = os.environ.get("MAILU_DIRECTORY_PORT")
        port = int(told or json.loads(ports.read_text(encoding="ascii"))["directory"])
        return port, secret.read_text(encoding="ascii").strip()
    except (FileNotFoundError, ValueError, KeyError):
        raise CommandError(f"Mailu does not run at {here.places.root}; expected `mailu up` before this") from None
