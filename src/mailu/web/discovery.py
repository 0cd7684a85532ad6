"""What programs ask to find out how to reach us: set-up files for mail programs, and the policy about encryption.

Anybody may ask; nothing here depends on who does. The set-up is for the domain's main host, whatever name was asked.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mailu import operations
from mailu.address import AddressError, parse_address, parse_domain
from mailu.control import ControlPlane, mta_sts_mode
from mailu.identity import autoconfig, mta_sts
from mailu.identity.autoconfig import BadAutodiscoverRequest, Service, UnknownAutodiscoverSchema

POLICY_HOST = "mta-sts."

log = logging.getLogger("mailu.web.discovery")


def routes(control: ControlPlane) -> list[Route]:
    """The addresses, as nginx passes them on."""
    answers = {
        "/mail/config-v1.1.xml": _mozilla,
        "/.well-known/autoconfig/mail/config-v1.1.xml": _mozilla,
        "/autodiscover/autodiscover.json": _autodiscover_json,
        "/autodiscover/autodiscover.xml": _autodiscover_xml,
        "/apple.mobileconfig": _apple,
        "/mobileconfig": _apple,
        "/.well-known/mta-sts.txt": _policy,
    }
    return [
        Route(path, _bound(control, answer), methods=["POST"] if answer is _autodiscover_xml else ["GET"])
        for path, answer in answers.items()
    ]


Answer = Callable[[ControlPlane, Request], Awaitable[Response]]


def _bound(control: ControlPlane, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await answer(control, request)

    return endpoint


def _service(control: ControlPlane) -> Service:
    return autoconfig.service_of(control.settings)


async def _mozilla(control: ControlPlane, _request: Request) -> Response:
    return Response(autoconfig.mozilla(_service(control)), headers={"Content-Type": autoconfig.MOZILLA_TYPE})


async def _autodiscover_json(control: ControlPlane, request: Request) -> Response:
    wanted = {name.lower(): value for name, value in request.query_params.items()}
    text = autoconfig.autodiscover_json(_service(control), wanted.get("protocol") or "Autodiscoverv1")
    if text is None:
        return PlainTextResponse("there is no such protocol\n", status_code=404)
    return Response(text, headers={"Content-Type": autoconfig.AUTODISCOVER_JSON_TYPE})


async def _autodiscover_xml(control: ControlPlane, request: Request) -> Response:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > autoconfig.MAX_REQUEST_BYTES:
            return PlainTextResponse("the request is too long\n", status_code=413)
    try:
        text = autoconfig.autodiscover_xml(_service(control), body)
    except BadAutodiscoverRequest as error:
        return PlainTextResponse(f"{error}\n", status_code=400)
    except UnknownAutodiscoverSchema as error:
        return PlainTextResponse(f"{error}\n", status_code=404)
    return Response(text, headers={"Content-Type": autoconfig.AUTODISCOVER_XML_TYPE})


async def _apple(control: ControlPlane, request: Request) -> Response:
    given = request.query_params.get("email")
    try:
        address = str(parse_address(given)) if given else None
    except AddressError:
        return PlainTextResponse("this is no address\n", status_code=400)
    headers = {
        "Content-Type": autoconfig.MOBILECONFIG_TYPE,
        "Content-Disposition": 'attachment; filename="mail.mobileconfig"',
    }
    signed = await asyncio.to_thread(_signed, control, address)
    return Response(signed or autoconfig.mobileconfig(_service(control), address), headers=headers)


def _signed(control: ControlPlane, address: str | None) -> bytes | None:
    """The profile with the server's signature; None where nobody signs: it then says "not signed", and works."""
    try:
        answer = operations.ask_at(control.places.signing, "mobileconfig", address=address)
    except (operations.Unreachable, operations.NotDone) as error:
        log.debug("the profile is not signed: %s", error)
        return None
    return base64.b64decode(answer["profile"]) or None


async def _policy(control: ControlPlane, request: Request) -> Response:
    """The policy of the domain whose ``mta-sts.`` host was asked (RFC 8461 s3.2); 404 where there is none."""
    host = request.headers.get("host", "").partition(":")[0].lower()
    try:
        domain = str(parse_domain(host.removeprefix(POLICY_HOST)))
    except AddressError:
        domain = ""
    snapshot = control.snapshot()
    mode = mta_sts_mode(snapshot, snapshot.alternatives.get(domain, domain)) if host.startswith(POLICY_HOST) else None
    if mode is None:
        return PlainTextResponse("there is no policy here\n", status_code=404)
    text = mta_sts.policy(tuple(control.settings.hostnames), mode)
    return PlainTextResponse(text, headers={"Cache-Control": "max-age=300"})
