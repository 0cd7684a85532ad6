# ruff: noqa: RUF009 - setting() returns a dataclass field
"""People: how they log in, what new ones get, how long deleted ones are kept."""

from __future__ import annotations

from dataclasses import dataclass

from mailu.settings import values
from mailu.settings.fields import setting
from mailu.settings.values import Network, Rate


@dataclass(frozen=True, kw_only=True)
class LogIn:
    """Logging in."""

    auth_ratelimit_ip: Rate | None = setting(
        values.rate,
        Rate(5, 3600),
        "How many different accounts that do not exist a network may try before it is refused.",
    )
    auth_ratelimit_ip_v4_mask: int = setting(
        values.integer(8, 32, "bits"), 24, "Size of the IPv4 network that counts as one."
    )
    auth_ratelimit_ip_v6_mask: int = setting(
        values.integer(16, 128, "bits"), 48, "Size of the IPv6 network that counts as one."
    )
    auth_ratelimit_user: Rate | None = setting(
        values.rate,
        Rate(50, 86400),
        "How many different wrong passwords may be tried on an account before unknown addresses and devices are "
        "refused.",
    )
    auth_ratelimit_exemption: tuple[Network, ...] = setting(
        values.networks, (), "Networks that are never limited, for example that of a groupware server."
    )
    auth_ratelimit_exemption_length: int = setting(
        values.duration, 86400, "How long (seconds) an address is exempt for an account after a successful log-in."
    )
    auth_require_tokens: bool = setting(
        values.boolean, False, "Mail programs must use app tokens; the account's password works on the web only."
    )
    second_factor: str = setting(
        values.words("optional", "admins", "managers", "everyone", same={"none": "optional"}),
        "optional",
        "Who must sign in to the pages with a one-time code or a passkey beside the password: nobody (optional), "
        "admins, managers (and admins), or everyone. Who does needs app tokens in mail programs.",
    )
    session_timeout: int = setting(values.duration, 3600, "Web sessions end after so long (seconds) without use.")
    permanent_session_lifetime: int = setting(
        values.duration, 2592000, "Web sessions end after so long (seconds) in any case."
    )
    session_cookie_secure: bool | None = setting(
        values.optional(values.boolean),
        None,
        "Send session cookies over TLS only.",
        default_note="true, unless TLS_FLAVOR is notls",
    )
    session_key_bits: int = setting(values.integer(64, 256, "bits"), 128, "Randomness in a session's name.")
    proxy_auth_whitelist: tuple[Network, ...] = setting(
        values.networks, (), "Addresses of proxies that have identified the user already."
    )
    proxy_auth_header: str = setting(
        values.header_name, "X-Auth-Email", "Header in which those proxies say who it is: the full address."
    )
    proxy_auth_create: bool = setting(
        values.boolean, False, "Create users whom those proxies name, when their domain exists and has room."
    )
    proxy_auth_logout_url: str | None = setting(
        values.optional(values.url_or_path), None, "Where people go who log out and came through such a proxy."
    )
    recaptcha_public_key: str | None = setting(
        values.optional_text, None, "Site key of reCAPTCHA for the sign-up pages."
    )
    recaptcha_private_key: str | None = setting(
        values.optional_text, None, "Secret key of reCAPTCHA for the sign-up pages.", secret=True
    )


@dataclass(frozen=True, kw_only=True)
class People:
    """Accounts."""

    default_quota: int = setting(
        values.size, 1000000000, "Size (bytes) of new mailboxes, where their domain sets none; 0 is without limit."
    )
    default_spam_threshold: int = setting(values.integer(0, 100, "percent"), 80, "Tolerance for spam of new users.")
    retention_days: int = setting(
        values.integer(0, 36500, "days"),
        30,
        "How long the mail of a deleted user is kept, and can be restored, before it is erased.",
    )
    domain_registration: bool = setting(
        values.boolean, False, "A public page on which people register domains of their own."
    )
    signup_ratelimit: Rate | None = setting(
        values.rate,
        Rate(10, 86400),
        "How many mailboxes and domains a network may make for itself on the public pages; ten times as many tries may"
        " fail. AUTH_RATELIMIT_EXEMPTION names networks without a limit.",
    )
    anonmail_max_retries: int = setting(
        values.integer(1, 1000), 10, "How often to try another name when a generated alias is taken."
    )
    welcome: bool = setting(values.boolean, False, "Send a first message to new users.")
    welcome_subject: str = setting(values.text, "Welcome to your new email account", "Subject of that message.")
    welcome_body: str = setting(
        values.text,
        "Welcome to your new email account, if you can read this, then it is configured properly!",
        "Text of that message.",
    )
