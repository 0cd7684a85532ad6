"""Roundcube: the webmail, the service ``webmail``."""

from mailu.daemons.roundcube.room import ROOM

__all__ = ["ROOM"]
