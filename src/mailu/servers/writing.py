"""Storing a batch of bookkeeping, with the rules of ``mailu.directory.changes``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from mailu.auth.accounts import LoginRecord
from mailu.directory import changes
from mailu.directory.mail_counts import add_mail_counts
from mailu.directory.store import Store
from mailu.servers.bookkeeping import Batch


def write_batch(store: Store, batch: Batch) -> None:
    """Store *batch*, in a thread. Raises what the database raises; then writing it again does no harm.

    What is added to comes last: once it is stored, nothing can fail any more.
    """
    if batch.used_bytes or batch.last_logins:
        with store.bookkeeping() as session:
            changes.record_quotas(session, batch.used_bytes)
            changes.record_logins(
                session, {email: datetime.fromtimestamp(at, UTC) for email, at in batch.last_logins.items()}
            )
    if batch.upgrades:
        _write_upgrades(store, batch.upgrades.values())
    if batch.mail:
        with store.bookkeeping() as session:
            add_mail_counts(session, batch.mail)


def _write_upgrades(store: Store, records: Iterable[LoginRecord]) -> None:
    """Hashes are part of what look-ups are answered from, so this is a change of the directory and not bookkeeping."""
    with store.session() as session:
        for record in records:
            upgrade = record.upgrade
            if upgrade is None:
                continue
            old, new = upgrade.stored, upgrade.replacement
            if upgrade.token_id is None:
                changes.upgrade_password_hash(session, record.email, old_hash=old, new_hash=new)
            else:
                changes.upgrade_token_hash(session, upgrade.token_id, old_hash=old, new_hash=new)
