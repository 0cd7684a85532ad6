"""Dovecot, the service ``imap``."""

from mailu.daemons.dovecot.room import DovecotRoom

ROOM = DovecotRoom()
