"""Who may ask Rspamd's controller: whoever opens its socket and knows this password."""

from __future__ import annotations

from mailu.settings import Settings


def controller_password(settings: Settings) -> str:
    """The password of the controller, for reading and for learning: 64 hexadecimal digits."""
    return settings.service_key("RSPAMD")
