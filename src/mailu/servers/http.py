"""What Dovecot's Lua, Rspamd, the command line and the agent ask over HTTP on the loopback.

Every path but ``/ready`` wants the root's secret: in ``X-Mailu-Secret``, in ``X-Vault-Token`` (Rspamd's vault
client), or as the password of HTTP authentication (Rspamd's maps, Prometheus). Any local user can reach the port.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import get_args
from urllib.parse import unquote_to_bytes

from mailu.address import AddressError, parse_domain
from mailu.auth import attempt, in_force
from mailu.auth.attempt import Accepted, Decision, LoginAttempt, Reason, Refused
from mailu.auth.limits import Limits
from mailu.directory import lookup
from mailu.directory.mail_counts import Key
from mailu.directory.snapshot import Snapshot, UserEntry
from mailu.servers.conversations import HangUp
from mailu.servers.faults import Faults
from mailu.servers.keeper import NotReady
from mailu.servers.mail_counts import UnreadableReport, parse_report
from mailu.servers.senders import filter_answer
from mailu.servers.signing import SigningKeys
from mailu.servers.usage import Usage
from mailu.wire import BadRequest
from mailu.wire.http import HttpConnection, HttpRequest, HttpResponse

log = logging.getLogger("mailu.servers.http")

PROTOCOLS: frozenset[str] = frozenset(get_args(attempt.Protocol))

NOT_FOUND = HttpResponse(404, b"not found\n")
FORBIDDEN = HttpResponse(403, b"the secret is missing or wrong\n")
METHOD_NOT_ALLOWED = HttpResponse(405, b"method not allowed\n")
NOT_READY = HttpResponse(503, b"the directory has not been read yet\n", headers=(("Retry-After", "1"),))

Handler = Callable[[HttpRequest, str], Awaitable[HttpResponse]]


@dataclass(frozen=True, slots=True)
class Answers:
    """What the handlers answer from."""

    secret: str
    snapshot: Callable[[], Snapshot]
    decide: Callable[[LoginAttempt], Awaitable[Decision]]
    usage: Usage
    signing: SigningKeys
    metrics: Callable[[], bytes]
    limits: Limits
    mail_counted: Callable[[Mapping[Key, int]], None]


class HttpHandlers:
    """The routes: method and first parts of the path to a handler, which gets the rest of the path."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._secret = answers.secret.encode()
        self._faults = Faults(log)
        self._open: dict[str, Handler] = {"/ready": self.ready}
        self._exact: dict[str, dict[str, Handler]] = {
            "/auth": {"POST": self.auth},
            "/rspamd/local_domains": {"GET": self.local_domains},
            "/web-names": {"GET": self.web_names},
            "/metrics": {"GET": self.metrics},
            "/rspamd/senders": {"POST": self.senders},
            "/limits": {"GET": self.limits, "DELETE": self.clear_limits},
            "/mail-counts": {"POST": self.mail_counts},
        }
        self._below: dict[str, dict[str, Handler]] = {
            "/rspamd/vault/v1/dkim/": {"GET": self.dkim},
        }

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer one request. Never raises, BadRequest excepted."""
        try:
            return await self._answer(request)
        except BadRequest:
            raise
        except NotReady:
            return NOT_READY
        except Exception as error:
            self._faults.report(f"answering {request.method} {request.path}", error)
            return HttpResponse(500, b"internal fault, see the log of the directory\n")

    async def _answer(self, request: HttpRequest) -> HttpResponse:
        if handler := self._open.get(request.path):
            return await handler(request, "")
        if not self._knows_secret(request.headers):
            return FORBIDDEN
        methods, rest = self._route(request.path)
        if not methods:
            return NOT_FOUND
        # Rspamd asks for the head of a map before it reads the map.
        found = methods.get("GET" if request.method == "HEAD" else request.method)
        return METHOD_NOT_ALLOWED if found is None else await found(request, rest)

    def _route(self, path: str) -> tuple[Mapping[str, Handler], str]:
        if exact := self._exact.get(path):
            return exact, ""
        for prefix, methods in self._below.items():
            if path.startswith(prefix):
                return methods, path[len(prefix) :]
        return {}, ""

    def _knows_secret(self, headers: Mapping[str, str]) -> bool:
        given = headers.get("x-mailu-secret") or headers.get("x-vault-token") or _basic_password(headers)
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._secret)

    async def ready(self, _request: HttpRequest, _rest: str) -> HttpResponse:
        """Whether there is a snapshot, old or new: 200 or 503."""
        snapshot = self._answers.snapshot()
        return HttpResponse(200, f"ready, version {snapshot.version}\n".encode())

    async def auth(self, request: HttpRequest, _rest: str) -> HttpResponse:
        """Judge one log-in, given as a form or, percent-encoded, in headers."""
        decision = await self._answers.decide(parse_attempt(request))
        return _json(self._decided(decision))

    def _decided(self, decision: Decision) -> dict[str, object]:
        if isinstance(decision, Accepted):
            entry = lookup.account(self._answers.snapshot(), decision.email)
            if entry is None:
                return {"result": "temp", "reason": "the account has just changed", "code": "changed"}
            return {"result": "ok", **self._fields(entry), "method": decision.method}
        if not isinstance(decision, Refused):
            return {"result": "temp", "reason": decision.message, "code": "unavailable"}
        results = {Reason.RATE_LIMITED: "temp", Reason.ACCOUNT_DISABLED: "disabled"}
        return {
            "result": results.get(decision.reason, "fail"),
            "reason": decision.message,
            "code": decision.reason.value,
            "retry_after_seconds": decision.retry_after_seconds,
        }

    def _fields(self, entry: UserEntry) -> dict[str, object]:
        return {
            "user": entry.email,
            "home": entry.home,
            "quota_bytes": entry.quota_bytes,
            "quota_bytes_used": self._answers.usage.used_bytes(entry),
            "enabled": entry.enabled,
        }

    async def dkim(self, _request: HttpRequest, rest: str) -> HttpResponse:
        """Private keys, for Rspamd."""
        try:
            domain = parse_domain(rest)
        except AddressError:
            return NOT_FOUND
        found = await self._answers.signing.vault_answer(self._answers.snapshot(), domain)
        return NOT_FOUND if found is None else HttpResponse(200, found, content_type="application/json")

    async def local_domains(self, _request: HttpRequest, _rest: str) -> HttpResponse:
        """Domains and their other names, one a line: a map of Rspamd."""
        snapshot = self._answers.snapshot()
        lines = [f"{name}\n" for name in sorted({*snapshot.domains, *snapshot.alternatives})]
        return HttpResponse(200, "".join(lines).encode())

    async def senders(self, request: HttpRequest, _rest: str) -> HttpResponse:
        """What the lists of senders say about a message: see ``servers.senders``."""
        return _json(filter_answer(self._answers.snapshot(), self._answers.secret, request.body))

    async def web_names(self, _request: HttpRequest, _rest: str) -> HttpResponse:
        """Names beside the host names that the web answers for, and that need certificates: those of policies."""
        snapshot = self._answers.snapshot()
        switched = {name for name, entry in snapshot.domains.items() if entry.mta_sts != "off"}
        every = [*switched, *(other for other, domain in snapshot.alternatives.items() if domain in switched)]
        return _json({"names": [f"mta-sts.{name}" for name in sorted(every)]})

    async def metrics(self, _request: HttpRequest, _rest: str) -> HttpResponse:
        """Numbers for Prometheus."""
        return HttpResponse(200, self._answers.metrics(), content_type="text/plain; version=0.0.4; charset=utf-8")

    async def mail_counts(self, request: HttpRequest, _rest: str) -> HttpResponse:
        """Take note of how much mail there was."""
        try:
            found = parse_report(self._answers.snapshot(), request.body)
        except UnreadableReport as error:
            return HttpResponse(400, f"{error}\n".encode())
        self._answers.mail_counted(found)
        return _json({})

    async def limits(self, _request: HttpRequest, _rest: str) -> HttpResponse:
        """Limits in force."""
        found = await in_force.list_in_force(self._answers.limits)
        return _json({"limits": [asdict(each) for each in found]})

    async def clear_limits(self, request: HttpRequest, _rest: str) -> HttpResponse:
        """Forget what was counted for ``?account=``, for ``?address=`` (or its network), for both, or for all."""
        account, address = request.query.get("account"), request.query.get("address")
        try:
            cleared = await in_force.clear(self._answers.limits, account=account, address=address)
        except ValueError as error:
            return HttpResponse(400, f"{error}\n".encode())
        log.info("limits were cleared for %s at %s: %d", account or "any account", address or "any address", cleared)
        return _json({"cleared": cleared})


class HttpConversation:
    """One connection."""

    def __init__(self, handlers: HttpHandlers) -> None:
        self._handlers = handlers
        self._connection = HttpConnection()

    def greeting(self) -> bytes:
        """Nothing: the client begins."""
        return b""

    async def received(self, data: bytes) -> bytes:
        """Answer each request that *data* completes. Raises HangUp."""
        self._connection.feed(data)
        replies: list[bytes] = []
        try:
            while (request := self._connection.next_request()) is not None:
                replies.append(self._connection.respond(await self._handlers.answer(request)))
        except BadRequest as error:
            raise HangUp(b"".join([*replies, self._connection.refuse(str(error))]), error) from None
        if self._connection.must_close:
            raise HangUp(b"".join(replies))
        if self._connection.expects_continue:
            replies.append(self._connection.encode_continue())
        return b"".join(replies)


def parse_attempt(request: HttpRequest) -> LoginAttempt:
    """Make a log-in of a request. Raises BadRequest for one without name, password or known protocol.

    Form fields: ``login``, ``password``, ``protocol``, ``client_ip``, ``client_port``, ``local_port``, ``tls``,
    ``device``. Or the headers ``Auth-User``, ``Auth-Pass``, ``Auth-Protocol``, ``Client-IP``, ``Client-Port``,
    ``Auth-Port``, ``Auth-SSL``, percent-encoded.
    """
    fields = request.form() if request.body else _header_fields(request.headers)
    if "login" not in fields or "password" not in fields:
        raise BadRequest("a log-in without login or password")
    protocol = _text(fields, "protocol")
    if protocol not in PROTOCOLS:
        raise BadRequest(f"a log-in by {protocol[:40]!r}, which is no protocol here")
    return LoginAttempt(
        login=fields["login"].decode("utf-8", "surrogateescape"),
        password=fields["password"],
        protocol=protocol,  # type: ignore[arg-type]
        client_ip=_text(fields, "client_ip"),
        client_port=_number(_text(fields, "client_port")),
        local_port=_number(_text(fields, "local_port")),
        tls=_text(fields, "tls").lower() in ("true", "1", "yes", "on", "tls", "secured"),
        device=_text(fields, "device") or None,
    )


_HEADER_NAMES = {
    "login": "auth-user",
    "password": "auth-pass",
    "protocol": "auth-protocol",
    "client_ip": "client-ip",
    "client_port": "client-port",
    "local_port": "auth-port",
    "tls": "auth-ssl",
}


def _header_fields(headers: Mapping[str, str]) -> dict[str, bytes]:
    return {name: unquote_to_bytes(headers[header]) for name, header in _HEADER_NAMES.items() if header in headers}


def _text(fields: Mapping[str, bytes], name: str) -> str:
    return fields.get(name, b"").decode("ascii", "backslashreplace")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0


def _basic_password(headers: Mapping[str, str]) -> str:
    kind, _, encoded = headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return ""
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8", "replace").partition(":")[2]
    except binascii.Error:
        return ""


def _json(value: Mapping[str, object]) -> HttpResponse:
    return HttpResponse(200, json.dumps(value).encode(), content_type="application/json")
