"""ClamAV: the virus scanner, the services ``antivirus`` and ``signatures``."""

from mailu.daemons.clamav.room import CLAMD as ROOM
from mailu.daemons.clamav.room import FRESHCLAM

__all__ = ["FRESHCLAM", "ROOM"]
