# ruff: noqa: RUF009 - setting() returns a dataclass field
"""Mail on its way, in the filter, and in the mailbox."""

from __future__ import annotations

from dataclasses import dataclass

from mailu.address import EmailAddress
from mailu.settings import values
from mailu.settings.fields import setting
from mailu.settings.values import Network, Rate, Routed


@dataclass(frozen=True, kw_only=True)
class MailFlow:
    """Sending and receiving."""

    message_size_limit: int = setting(
        values.size, 50000000, "Largest message (bytes), attachments as they travel: about a third more than the file."
    )
    message_ratelimit: Rate | None = setting(
        values.rate, Rate(200, 86400), "How many recipients a user may send to; a user can have a limit of their own."
    )
    message_ratelimit_exemption: tuple[EmailAddress, ...] = setting(
        values.addresses, (), "Users without a sending limit."
    )
    recipient_delimiter: str = setting(
        values.delimiters,
        "+",
        "Characters that end an address's own part: with +, mail for ann+shop@ goes to ann@. Each of several counts.",
    )
    wildcard_senders: tuple[EmailAddress, ...] = setting(values.addresses, (), "Users who may send under any address.")
    reject_unlisted_recipient: bool = setting(
        values.boolean,
        True,
        "Refuse a recipient of ours who does not exist at once when a user sends; when false the user gets a bounce.",
    )
    relaynets: tuple[Network, ...] = setting(
        values.networks, (), "Networks that may send to anybody without logging in. Nothing else may."
    )
    relayhost: str | None = setting(
        values.optional(values.next_hop),
        None,
        "Smart host that takes mail for other servers, as [host]:port; a domain can have another (mailu smart-host). "
        "One that gets a password has to show a certificate that is good for its name, or mail waits.",
    )
    relayuser: str | None = setting(values.optional_text, None, "User name at the smart host.")
    relaypassword: str | None = setting(values.optional_text, None, "Password at the smart host.", secret=True)
    smtp_banner: str = setting(
        values.printable,
        "ESMTP",
        "What follows the host name in the greeting of port 25 and of the sending ports.",
    )
    slow_destinations: tuple[Routed, ...] = setting(
        values.routed(("polite", "turtle"), "polite"),
        (),
        "Destinations that do not take much at once, as domain:polite (3 connections, 20 recipients) or domain:turtle "
        "(one message every 5 seconds).",
    )
    queue_lifetime: int = setting(
        values.duration, 432000, "How long (seconds) undeliverable mail is tried before it goes back."
    )
    delay_notice: int = setting(
        values.duration, 300, "After how long (seconds) a sender is told that their mail waits; 0 for never."
    )


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Filter and authenticity."""

    antispam: bool = setting(
        values.always("the filter cannot be switched off; while it is down mail waits, it does not pass unfiltered"),
        True,
        "The spam filter. It is always on; a user or domain can be exempt in the administration.",
    )
    antivirus: str | None = setting(
        values.optional(values.words("clamav")), None, "Virus scanner: clamav or none. Needs 1 GB of memory."
    )
    antivirus_action: str = setting(
        values.words("reject", "discard"), "reject", "What happens to infected mail: refused, or taken and thrown away."
    )
    scan_macros: bool = setting(values.boolean, False, "Look into Office documents for dangerous macros.")
    greylist_score: float = setting(values.score, 4.0, "From this score on an unknown sender must try again later.")
    add_header_score: float = setting(values.score, 6.0, "From this score on a message is marked as spam.")
    reject_score: float = setting(values.score, 15.0, "From this score on a message is refused.")
    dkim_selector: str = setting(
        values.selector,
        "dkim",
        "Name in DNS of the RSA keys that mail is signed with; the Ed25519 keys have the same with -ed25519 after it.",
    )
    dkim_rotation_days: int = setting(
        values.integer(0, 3650),
        0,
        "After how many days signing keys are replaced by themselves; 0 for never. A new key signs once its record is "
        "seen in DNS, so somebody, or a program of yours, has to publish it.",
    )
    dmarc_rua: str | None = setting(
        values.optional(values.localpart),
        None,
        "Localpart, at DOMAIN, that aggregate DMARC reports of others go to.",
        default_note="not in the record",
    )
    dmarc_ruf: str | None = setting(
        values.optional(values.localpart),
        None,
        "Localpart, at DOMAIN, that DMARC failure reports of others go to.",
        default_note="not in the record",
    )
    dmarc_send_reports: bool = setting(values.boolean, False, "Send daily aggregate DMARC reports to others.")


@dataclass(frozen=True, kw_only=True)
class Mailboxes:
    """Mailboxes."""

    compression: str | None = setting(
        values.optional(values.words("gz", "bz2", "lz4", "zstd")), None, "Compress stored mail: gz, bz2, lz4 or zstd."
    )
    compression_level: int | None = setting(
        values.optional(values.integer(1, 9)), None, "How hard to compress; the method's own default when not given."
    )
    full_text_search: tuple[str, ...] = setting(
        values.languages, ("en",), "Languages of the full-text index, or off for none."
    )
    full_text_search_attachments: bool = setting(
        values.boolean, False, "Index attachments too; needs Apache Tika at FTS_ATTACHMENTS_ADDRESS."
    )
    imap_greeting: str | None = setting(
        values.optional(values.printable), None, "Greeting of IMAP, POP3 and ManageSieve.", default_note="the program's"
    )
    imap_max_connections: int = setting(
        values.integer(1, 10000), 20, "Connections that one user may have open from one address."
    )
    fetchmail_enabled: bool = setting(values.boolean, False, "People can have mail fetched from other accounts.")
    fetchmail_delay: int = setting(values.duration, 600, "How long (seconds) to wait between two rounds of fetching.")
    fetchmail_options: str = setting(values.text, "", "Further command-line options of fetchmail.")
