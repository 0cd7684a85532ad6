"""Radicale: calendars and contacts, the service ``webdav``."""

from mailu.daemons.radicale.room import ROOM

__all__ = ["ROOM"]
