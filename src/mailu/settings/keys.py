"""Keys that are derived from the secret key, exactly as Mailu has always derived them.

Two steps, both HMAC-SHA-256: the start-up code turned the secret key into one key a service, in hexadecimal; the
web application derived further keys from the one that it was given. Addresses, cookies and tokens that are out in
the world only verify with the same keys.
"""

from __future__ import annotations

import hashlib
import hmac

APPLICATION = "SECRET"
"""The name under which the web application's own key is derived."""


def service_key(secret_key: str, name: str) -> str:
    """Return the key of service *name*: 64 hexadecimal digits."""
    return hmac.new(secret_key.encode(), name.encode(), hashlib.sha256).hexdigest()


def application_keys(secret_key: str, *, from_file: bool) -> tuple[str, str]:
    """Return what the web application's key can be: the right one first, then the other.

    An installation that read the secret key from a file (SECRET_KEY_FILE) used the file's content itself, any other
    the key of the service ``SECRET``; and one that changed from one to the other has issued addresses with both.
    """
    derived = service_key(secret_key, APPLICATION)
    return (secret_key, derived) if from_file else (derived, secret_key)


def derive(application_key: str, name: str) -> bytes:
    """Return the 32 octets that the web application derives for *name*, such as ``SRS_KEY``."""
    return hmac.new(application_key.encode(), name.encode(), hashlib.sha256).digest()
