"""The database before the services start: schema brought up to date, first administrator made.

``python -m mailu.cli.prepare``, run as the control plane's user with MAILU_SETTINGS. Ends with 1, and lines on standard
error that say why, when the services cannot start with this database.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

from mailu.address import EmailAddress, Localpart
from mailu.auth.passwords import hash_password
from mailu.cli.failures import sentences
from mailu.directory import changes
from mailu.directory.changes import Actor
from mailu.directory.models import User
from mailu.directory.new_users import usual_fields
from mailu.directory.store import Store, open_store
from mailu.settings import Settings

ACTOR = Actor("INITIAL_ADMIN_ACCOUNT", "settings")


def main() -> int:
    """Prepare the database of the settings that MAILU_SETTINGS names."""
    try:
        settings = Settings.from_json(Path(os.environ["MAILU_SETTINGS"]).read_text(encoding="utf-8"))
        with closing(open_store(settings.database_uri)) as store:
            store.upgrade()
            make_first_administrator(settings, store)
    except Exception as error:
        lines = sentences(error)
        if lines is None:
            raise
        print("\n".join(lines), file=sys.stderr)
        return 1
    return 0


def make_first_administrator(settings: Settings, store: Store) -> None:
    """Make the administrator that the settings name, when they name one wholly.

    One who exists is left alone, or, with INITIAL_ADMIN_MODE=update, given the password. The password is the
    operator's and is not held against the rule for chosen ones: a short one must not keep the server from starting.
    """
    account, domain = settings.initial_admin_account, settings.initial_admin_domain
    if not (account and domain and settings.initial_admin_pw):
        return
    address = str(EmailAddress(Localpart(account), domain))
    with store.read() as session:
        exists = session.get(User, address) is not None
    if exists and settings.initial_admin_mode != "update":
        if settings.initial_admin_mode == "create":
            print(f"INITIAL_ADMIN_MODE=create, but {address} exists already; nothing was changed.")
        return
    password_hash = hash_password(settings.initial_admin_pw)
    with store.session() as session:
        if exists:
            changes.set_password(session, address, password_hash=password_hash, actor=ACTOR)
            return
        try:
            ceiling = changes.get_domain(session, domain).max_quota_bytes
        except changes.NotFound:
            ceiling = changes.create_domain(session, domain, actor=ACTOR).max_quota_bytes
        usual = usual_fields(settings, ceiling)
        changes.create_user(
            session,
            address,
            password_hash=password_hash,
            actor=ACTOR,
            enforce_limits=False,
            global_admin=True,
            **usual,
        )


if __name__ == "__main__":
    sys.exit(main())
