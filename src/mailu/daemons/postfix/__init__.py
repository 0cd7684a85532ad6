"""Postfix, the service ``smtp``."""

from mailu.daemons.postfix.room import PostfixRoom

ROOM = PostfixRoom()
