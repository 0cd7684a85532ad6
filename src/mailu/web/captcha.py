"""reCAPTCHA on the pages of people who come by themselves, where the operator has keys for it.

It is the one thing on our pages that a browser fetches from elsewhere, so its pages have a policy of their own.
"""

from __future__ import annotations

from mailu.settings import Settings

FIELD = "g-recaptcha-response"
VERIFY_URL = "https://www.google.com/recaptcha/api/siteverify"
_SECONDS = 8.0
_SITES = "https://www.google.com/recaptcha/ https://www.gstatic.com/recaptcha/"


class CaptchaAway(Exception):
    """The service that knows the answer does not answer."""


def is_wanted(settings: Settings) -> bool:
    """Whether both keys are there."""
    return bool(settings.recaptcha_public_key and settings.recaptcha_private_key)


def allowed_by(policy: str) -> str:
    """*policy* of a page, with what the captcha needs (Google's words on reCAPTCHA and CSP)."""
    return (
        policy.replace("script-src 'self'", f"script-src 'self' {_SITES}")
        .replace("connect-src 'self'", f"connect-src 'self' {_SITES}")
        .replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
        + f"; frame-src {_SITES}"
    )


async def is_human(settings: Settings, answer: str, client_ip: str, *, url: str = VERIFY_URL) -> bool:
    """Whether the captcha was solved; *answer* is what it put into the form. Raises CaptchaAway."""
    import httpx  # here: few installations need it

    if not answer or len(answer) > 8192:
        return False
    fields = {"secret": settings.recaptcha_private_key or "", "response": answer, "remoteip": client_ip}
    try:
        async with httpx.AsyncClient(timeout=_SECONDS) as client:
            told = (await client.post(url, data=fields)).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise CaptchaAway(str(error)) from error
    return isinstance(told, dict) and told.get("success") is True
