"""People whom a proxy before us has identified: PROXY_AUTH_HEADER, believed from PROXY_AUTH_WHITELIST only.

nginx writes the address of whoever spoke to it into ``X-Forwarded-By``, whatever the client sent under that name.
"""

from __future__ import annotations

import logging
import secrets

from starlette.concurrency import run_in_threadpool

from mailu.address import AddressError, parse_address
from mailu.auth.clients import parse_ip
from mailu.auth.passwords import hash_password
from mailu.directory import changes
from mailu.directory.changes import Actor, ChangeError
from mailu.directory.new_users import usual_fields
from mailu.directory.snapshot import UserEntry
from mailu.web.language import _
from mailu.web.visit import Refusal, Visit

log = logging.getLogger("mailu.web")


async def proxied_user(visit: Visit) -> UserEntry | None:
    """The account that a listed proxy names; None where none did. Raises Refusal for one that cannot come in."""
    settings = visit.settings
    given = visit.request.headers.get(settings.proxy_auth_header)
    if not settings.proxy_auth_whitelist or not given or "noproxyauth" in visit.request.query_params:
        return None
    if not _is_listed(visit):
        log.warning(
            "%s is not in PROXY_AUTH_WHITELIST, so its %s is not believed", _proxy(visit), settings.proxy_auth_header
        )
        return None
    try:
        address = str(parse_address(given.encode("latin-1").decode("utf-8")))
    except (AddressError, ValueError):
        raise Refusal(403, _("Your sign-on service did not give an e-mail address.")) from None
    if address not in visit.snapshot.users and settings.proxy_auth_create:
        await _create(visit, address)
    entry = visit.snapshot.users.get(address)
    if entry is None:
        raise Refusal(403, _("There is no mailbox %(address)s here.", address=address))
    if not entry.enabled:
        raise Refusal(403, _("This account is switched off. Please ask your administrator."))
    return entry


def _proxy(visit: Visit) -> str:
    return visit.request.headers.get("x-forwarded-by", "") or visit.client_ip


def _is_listed(visit: Visit) -> bool:
    address = parse_ip(_proxy(visit))
    return address is not None and any(address in network for network in visit.settings.proxy_auth_whitelist)


async def _create(visit: Visit, address: str) -> None:
    try:
        await run_in_threadpool(_store, visit, address)
    except ChangeError as error:
        raise Refusal(403, str(error)) from None
    await visit.until(lambda snapshot: address in snapshot.users)


def _store(visit: Visit, address: str) -> None:
    hashed = hash_password(secrets.token_urlsafe(32))
    domain = address.rpartition("@")[2]
    with visit.store.session() as session:
        ceiling = changes.get_domain(session, domain).max_quota_bytes
        actor = Actor("sign-on proxy", f"web {_proxy(visit)}")
        usual = usual_fields(visit.settings, ceiling)
        changes.create_user(session, address, password_hash=hashed, actor=actor, **usual)
