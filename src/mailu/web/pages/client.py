"""What a mail program has to be told, with a code for phones."""

from __future__ import annotations

from urllib.parse import urlencode

from markupsafe import Markup
from starlette.responses import Response

from mailu.web.language import _
from mailu.web.permission import ANYONE
from mailu.web.routes import Pages
from mailu.web.visit import Visit

pages = Pages()


@pages.show("client", "{admin}/client", ANYONE)
def client(visit: Visit) -> Response:
    """Host names, ports and the profile for Apple devices."""
    settings = visit.settings
    tls = settings.has_tls
    servers = [
        (_("Incoming mail"), "IMAP", 993 if tls else 143, _("TLS") if tls else _("none")),
        (_("Outgoing mail"), "SMTP", 465 if tls else 25, _("TLS") if tls else _("none")),
    ]
    if 995 in settings.listening_ports:
        servers.insert(1, (_("Incoming mail"), "POP3", 995, _("TLS")))
    profile = profile_url(visit)
    return visit.render(
        "account/client.html",
        title=_("Set up a mail program"),
        servers=servers,
        host=settings.hostname,
        email=visit.signed_in.email if visit.signed_in else "",
        profile=profile,
        code=qr_code(profile),
    )


def profile_url(visit: Visit) -> str:
    """The address of the profile. It names our own host, never the one that the browser sent."""
    settings = visit.settings
    query = f"?{urlencode({'email': visit.signed_in.email})}" if visit.signed_in else ""
    return f"{'https' if settings.has_tls else 'http'}://{settings.hostname}/apple.mobileconfig{query}"


def qr_code(text: str) -> Markup:
    """A code as a picture of vectors, dark on light in every colour scheme, since cameras want that."""
    import qrcode  # here: it loads the whole of Pillow, 4 MiB, for a page that is rarely asked for
    import qrcode.image.svg

    code = qrcode.QRCode(border=2, error_correction=qrcode.ERROR_CORRECT_M)
    code.add_data(text)
    matrix = code.get_matrix()
    size = len(matrix)
    path = "".join(f"M{x} {y}h1v1h-1z" for y, row in enumerate(matrix) for x, dark in enumerate(row) if dark)
    return Markup(
        '<svg class="code" viewBox="0 0 {size} {size}" role="img" aria-label="{label}" shape-rendering="crispEdges">'
        '<rect width="{size}" height="{size}" class="light"/><path class="dark" d="{path}"/></svg>'
    ).format(size=size, label=_("Code to scan with a phone"), path=path)
