"""oletools: looks for macros in documents, the service ``oletools``."""

from mailu.daemons.oletools.room import ROOM

__all__ = ["ROOM"]
