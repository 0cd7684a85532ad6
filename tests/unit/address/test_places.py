"""Paths and sockets of one root."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailu.places import Places

PATHS = [name for name, member in vars(Places).items() if isinstance(member, property)]
MAX_SOCKET_PATH = 107
"""unix(7): sun_path has 108 bytes, the last of which is NUL."""


@pytest.mark.parametrize("name", PATHS)
def test_everything_is_below_the_root(name: str) -> None:
    root = Path("/srv/mailu")
    assert getattr(Places(root), name).is_relative_to(root)


def test_no_two_names_mean_the_same_place() -> None:
    places = Places(Path("/mailu"))
    assert len({getattr(places, name) for name in PATHS}) == len(PATHS)


@pytest.mark.parametrize("name", PATHS)
def test_a_root_of_sixty_characters_leaves_room_for_sockets(name: str) -> None:
    assert len(str(getattr(Places(Path("/" + "r" * 59)), name))) <= MAX_SOCKET_PATH


def test_folders_of_an_existing_root_keep_their_names() -> None:
    places = Places(Path("/mailu"))
    kept = (
        places.certs,
        places.data,
        places.dkim,
        places.mail,
        places.mail_queue,
        places.filter,
        places.redis,
        places.dav,
    )
    assert [path.name for path in kept] == ["certs", "data", "dkim", "mail", "mailqueue", "filter", "redis", "dav"]
    assert places.service("smtp") == Path("/mailu/run/smtp")
