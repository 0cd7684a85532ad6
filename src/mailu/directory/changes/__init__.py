"""Every write, and every rule about what may be written. Pages, the API, the command line and imports call these.

All take a session of ``Store.session()``, which is one transaction: a change that raises leaves nothing behind once
the transaction is rolled back. All say who acts (``Actor``) and leave a row in ``audit``. What is refused is a
``ChangeError``: ``NotFound``, ``Conflict``, ``Invalid`` or ``LimitReached``. Whether the actor has the right to a
change is asked before, of ``mailu.directory.roles``.
"""

from mailu.directory.changes.aliases import AliasFields, create_alias, delete_alias, update_alias
from mailu.directory.changes.bookkeeping import record_fetch, record_login, record_logins, record_quota, record_quotas
from mailu.directory.changes.domains import (
    DomainFields,
    RelayFields,
    create_alternative,
    create_domain,
    create_relay,
    delete_alternative,
    delete_domain,
    delete_relay,
    update_domain,
    update_relay,
)
from mailu.directory.changes.errors import ChangeError, Conflict, Invalid, LimitReached, NotFound
from mailu.directory.changes.fetches import FetchFields, create_fetch, delete_fetch, update_fetch
from mailu.directory.changes.journal import SYSTEM, Actor, note, trim_audit
from mailu.directory.changes.names import get_domain, get_user
from mailu.directory.changes.newcomers import register_domain, settle_in, sign_up
from mailu.directory.changes.restoring import restore_user, retired_mailboxes
from mailu.directory.changes.retiring import DEFAULT_RETENTION_DAYS, due_for_purge, forget_retired, purge_now
from mailu.directory.changes.rights import add_manager, grant_access, remove_manager, revoke_access
from mailu.directory.changes.senders import (
    SenderFields,
    find_sender,
    get_sender,
    list_sender,
    on_list,
    set_sender,
    unlist_sender,
    update_sender,
)
from mailu.directory.changes.tls_exceptions import (
    allow_tls_exception,
    end_tls_exception,
    expire_tls_exceptions,
    get_tls_exception,
)
from mailu.directory.changes.tokens import TokenFields, create_token, delete_token, update_token, upgrade_token_hash
from mailu.directory.changes.users import (
    UserFields,
    create_user,
    delete_user,
    set_password,
    update_user,
    upgrade_password_hash,
)
from mailu.directory.changes.values import check_password

__all__ = [
    "DEFAULT_RETENTION_DAYS",
    "SYSTEM",
    "Actor",
    "AliasFields",
    "ChangeError",
    "Conflict",
    "DomainFields",
    "FetchFields",
    "Invalid",
    "LimitReached",
    "NotFound",
    "RelayFields",
    "SenderFields",
    "TokenFields",
    "UserFields",
    "add_manager",
    "allow_tls_exception",
    "check_password",
    "create_alias",
    "create_alternative",
    "create_domain",
    "create_fetch",
    "create_relay",
    "create_token",
    "create_user",
    "delete_alias",
    "delete_alternative",
    "delete_domain",
    "delete_fetch",
    "delete_relay",
    "delete_token",
    "delete_user",
    "due_for_purge",
    "end_tls_exception",
    "expire_tls_exceptions",
    "find_sender",
    "forget_retired",
    "get_domain",
    "get_sender",
    "get_tls_exception",
    "get_user",
    "grant_access",
    "list_sender",
    "note",
    "on_list",
    "purge_now",
    "record_fetch",
    "record_login",
    "record_logins",
    "record_quota",
    "record_quotas",
    "register_domain",
    "remove_manager",
    "restore_user",
    "retired_mailboxes",
    "revoke_access",
    "set_password",
    "set_sender",
    "settle_in",
    "sign_up",
    "trim_audit",
    "unlist_sender",
    "update_alias",
    "update_domain",
    "update_fetch",
    "update_relay",
    "update_sender",
    "update_token",
    "update_user",
    "upgrade_password_hash",
    "upgrade_token_hash",
]
