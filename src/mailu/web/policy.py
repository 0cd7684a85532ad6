"""What browsers may load for our pages, and where our forms may lead."""

from __future__ import annotations

from urllib.parse import urlsplit


def content_policy(settings: object) -> str:
    """The Content-Security-Policy. A logo from elsewhere and the proxy's sign-out page are the only exceptions."""
    images = " ".join(["'self'", "data:", *_origin_of(getattr(settings, "logo_url", None))])
    forms = " ".join(["'self'", *_origin_of(getattr(settings, "proxy_auth_logout_url", None))])
    return (
        f"default-src 'none'; style-src 'self'; script-src 'self'; img-src {images}; font-src 'self'; "
        f"connect-src 'self'; form-action {forms}; frame-ancestors 'none'; base-uri 'none'"
    )


def _origin_of(address: str | None) -> list[str]:
    parts = urlsplit(address or "")
    return [f"{parts.scheme}://{parts.netloc}"] if parts.netloc else []
