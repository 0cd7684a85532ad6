"""Overrides: what has a setting of its own becomes one, what still means something is kept, the rest is explained.

Everything here is text in, text and settings out; nothing is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mailu.daemons.postfix import parameters
from mailu.daemons.postfix.parameters import PROTECTED
from mailu.settings import BY_NAME

_LEVELS = ("none", "may", "encrypt", "dane", "dane-only", "fingerprint", "verify", "secure")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

_NOT_POSTFIX = {
    "mta-sts-daemon.yml": "the directory enforces MTA-STS itself; DEFER_ON_TLS_ERROR and OUTBOUND_TLS_DESTINATIONS "
    "are its settings",
    "logrotate.conf": "it had no effect before; logs are in ROOT/run/log",
}
_GONE_LISTENERS = {
    "10025": "users send through submission/inet and submissions/inet now",
    "2525": "Postfix delivers to the mailboxes itself",
}


@dataclass(slots=True)
class Override:
    """What becomes of one file below ``overrides/``."""

    path: str
    kept: str | None
    """The text that is written here; None: the file is not needed any more, or means nothing."""
    variables: dict[str, str] = field(default_factory=dict)
    """Settings that say the same."""
    sentences: list[tuple[str, str]] = field(default_factory=list)
    """Outcome and text, one for each thing in it."""

    def say(self, outcome: str, text: str) -> None:
        """Note one thing."""
        self.sentences.append((outcome, text))

    def take(self, name: str, value: str, what: str) -> bool:
        """Make a setting of it. False, and nothing is taken, when the setting does not take that value."""
        try:
            BY_NAME[name].kind.parse(value)
        except ValueError:
            return False
        if name in self.variables and BY_NAME[name].attribute in _LISTS:
            value = f"{self.variables[name]},{value}"
        self.variables[name] = value
        self.say("translated", f"{what}: {name}={value.rpartition(',')[2] if name in _LIST_NAMES else value}")
        return True


_LIST_NAMES = frozenset({"SLOW_DESTINATIONS", "OUTBOUND_TLS_DESTINATIONS"})
_LISTS = frozenset(name.lower() for name in _LIST_NAMES)


def translate(path: str, text: str) -> Override:
    """Say what becomes of the override *path* (below ``overrides/``) with the content *text*."""
    folder, _, name = path.partition("/")
    override = Override(path, text)
    translator = _BY_PATH.get(path) or _BY_FOLDER.get(folder)
    if translator is None:
        override.kept = None
        override.say("explained", "not taken: nothing reads it")
        return override
    translator(override, name, text)
    return override


# Postfix


def _postfix(override: Override, name: str, _text: str) -> None:
    if name in _NOT_POSTFIX:
        override.kept = None
        override.say("explained", f"not taken: {_NOT_POSTFIX[name]}")
    elif name.endswith(".map") and "/" not in name:
        override.say("kept", "a table; overrides/postfix/postfix.cf names it as before")
    else:
        override.kept = None
        override.say("explained", "not taken: only postfix.cf, postfix.master and *.map are read")


def _postfix_cf(override: Override, _name: str, text: str) -> None:
    kept: list[str] = []
    for lines in _logical(text):
        first = lines[0].strip()
        name, equals, rest = first.partition("=")
        name = name.strip()
        value = " ".join([rest.strip(), *(line.strip() for line in lines[1:])]).strip()
        if not first or first.startswith("#"):
            kept += lines
        elif not equals or not re.fullmatch(r"[A-Za-z0-9_]+", name):
            override.say("explained", f"{first!r} is left out: expected name = value")
            kept += [f"# left out, this is no parameter: {line}" for line in lines]
        elif name in PROTECTED:
            override.say("explained", f"{name} is left out: {PROTECTED[name]}")
            kept += [f"# left out, {PROTECTED[name]}: {line}" for line in lines]
        elif name in _PARAMETERS and _PARAMETERS[name](override, name, value):
            continue
        else:
            override.say("kept", f"{name} = {value}")
            kept += lines
    override.kept = _or_nothing(kept)
    parameters.parse(override.kept or "")


def _logical(text: str) -> list[list[str]]:
    """Lines, each with its continuation lines."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if line[:1] in (" ", "\t") and line.strip() and found and found[-1][0].strip():
            found[-1].append(line)
        else:
            found.append([line])
    return found


def _banner(override: Override, name: str, value: str) -> bool:
    match = re.fullmatch(r"\$(?:myhostname|\{myhostname\})\s+(.+)", value)
    return match is not None and "$" not in match[1] and override.take("SMTP_BANNER", match[1], name)


def _simple(setting: str) -> Callable[[Override, str, str], bool]:
    return lambda override, name, value: "$" not in value and override.take(setting, value, name)


def _duration(setting: str) -> Callable[[Override, str, str], bool]:
    def take(override: Override, name: str, value: str) -> bool:
        match = re.fullmatch(r"(\d+)([smhdw]?)", value)
        if match is None:
            return False
        unit = match[2] or ("h" if name == "delay_warning_time" else "d")
        return override.take(setting, str(int(match[1]) * _UNITS[unit]), name)

    return take


def _networks(override: Override, name: str, value: str) -> bool:
    override.say(
        "explained",
        f"{name} is left out: nothing is trusted for its address but RELAYNETS. These were: {value}",
    )
    return True


_PARAMETERS: Mapping[str, Callable[[Override, str, str], bool]] = {
    "smtpd_banner": _banner,
    "message_size_limit": _simple("MESSAGE_SIZE_LIMIT"),
    "relayhost": _simple("RELAYHOST"),
    "smtp_tls_security_level": _simple("OUTBOUND_TLS_LEVEL"),
    "maximal_queue_lifetime": _duration("QUEUE_LIFETIME"),
    "delay_warning_time": _duration("DELAY_NOTICE"),
    "mynetworks": _networks,
}


def _postfix_master(override: Override, _name: str, text: str) -> None:
    kept = []
    for line in text.splitlines():
        stripped = line.strip()
        listener = stripped.partition("/")[0]
        if not stripped or stripped.startswith("#"):
            kept.append(line)
        elif listener in _GONE_LISTENERS:
            override.say("explained", f"{stripped!r} is left out: {_GONE_LISTENERS[listener]}")
            kept.append(f"# left out, {_GONE_LISTENERS[listener]}: {line}")
        else:
            override.say("kept", stripped)
            kept.append(line)
    override.kept = _or_nothing(kept)


def _transport_map(override: Override, _name: str, text: str) -> None:
    def take(domain: str, route: str) -> bool:
        treatment = route.removesuffix(":")
        return treatment in ("polite", "turtle") and override.take("SLOW_DESTINATIONS", f"{domain}:{treatment}", domain)

    _table(override, text, take)


def _tls_policy_map(override: Override, _name: str, text: str) -> None:
    def take(domain: str, policy: str) -> bool:
        return policy in _LEVELS and override.take("OUTBOUND_TLS_DESTINATIONS", f"{domain}:{policy}", domain)

    _table(override, text, take)


def _table(override: Override, text: str, take: Callable[[str, str], bool]) -> None:
    """Rows that *take* makes a setting of go, the others stay. Names that stand for subdomains too stay."""
    kept = []
    for line in text.splitlines():
        key, _, value = line.strip().partition(" ")
        if not line.strip() or line.lstrip().startswith("#"):
            kept.append(line)
        elif re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", key) and take(key.lower(), value.strip()):
            continue
        else:
            override.say("kept", f"{line.strip()!r} stays in the table")
            kept.append(line)
    override.kept = _or_nothing(kept)


# Dovecot


def _dovecot(override: Override, name: str, text: str) -> None:
    if name != "dovecot.conf":
        override.kept = None
        override.say("explained", "not taken: only dovecot.conf is read; Sieve scripts of the server are its own")
        return
    kept: list[str] = []
    depth = 0
    for line in text.splitlines():
        key, equals, value = (part.strip() for part in line.partition("="))
        at_top = depth == 0
        depth += line.count("{") - line.count("}")
        if at_top and equals and key in _DOVECOT and override.take(_DOVECOT[key], value.strip("\"'"), key):
            continue
        if line.strip() and not line.lstrip().startswith("#") and at_top:
            override.say("kept", line.strip())
        kept.append(line)
    override.kept = _or_nothing(kept)


_DOVECOT = {"mail_max_userip_connections": "IMAP_MAX_CONNECTIONS", "login_greeting": "IMAP_GREETING"}


# Rspamd


def _rspamd(override: Override, name: str, text: str) -> None:
    if name != "actions.conf":
        override.say("kept", "merged into, or put beside, the filter's own files as before")
        return
    kept = []
    for line in text.splitlines():
        match = re.fullmatch(r'\s*"?(reject|greylist|add_header)"?\s*[=:]?\s*(-?[0-9.]+)\s*;?\s*(?:#.*)?', line)
        if match and override.take(f"{match[1].upper()}_SCORE", match[2], match[1]):
            continue
        if line.strip() and not line.lstrip().startswith("#"):
            override.say("kept", line.strip())
        kept.append(line)
    override.kept = _or_nothing(kept)


# The web


def _nginx(override: Override, name: str, text: str) -> None:
    if "/" in name or not name.endswith(".conf"):
        override.kept = None
        why = "there is no mail proxy any more" if name.startswith("dovecot/") else "only *.conf in the folder are read"
        override.say("explained", f"not taken: {why}")
        return
    rest = _without_policies(text)
    if rest != text:
        override.kept = _or_nothing(rest.splitlines())
        mode = re.search(r"mode:\s*(enforce|testing|none)", text)
        override.say(
            "explained",
            "its MTA-STS policy is left out, because this server publishes policies itself: set mta_sts of the domain "
            f"to {mode[1] if mode else 'testing or enforce'}",
        )
    if override.kept is not None:
        override.say("kept", "read inside the server block as before")


def _without_policies(text: str) -> str:
    """*text* without the locations of MTA-STS policies: nginx refuses a location that is there twice."""
    while match := _POLICY.search(text):
        depth, end = 1, match.end()
        while depth and end < len(text):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        text = text[: match.start()] + text[end:]
    return text


_POLICY = re.compile(r"location\s+(?:[=~^*]+\s*)?\S*mta-sts\S*\s*\{")


def _roundcube(override: Override, name: str, _text: str) -> None:
    if name.endswith((".inc", ".inc.php")):
        override.say("kept", "read by the webmail as before; look that the plug-ins that it names are installed")
    else:
        override.kept = None
        override.say("explained", "not taken: only *.inc and *.inc.php are read")


def _snappymail(override: Override, _name: str, _text: str) -> None:
    override.kept = None
    override.say("explained", "not taken: the webmail is Roundcube")


_BY_PATH: Mapping[str, Callable[[Override, str, str], None]] = {
    "postfix/postfix.cf": _postfix_cf,
    "postfix/postfix.master": _postfix_master,
    "postfix/transport.map": _transport_map,
    "postfix/tls_policy.map": _tls_policy_map,
}
_BY_FOLDER: Mapping[str, Callable[[Override, str, str], None]] = {
    "postfix": _postfix,
    "dovecot": _dovecot,
    "rspamd": _rspamd,
    "nginx": _nginx,
    "roundcube": _roundcube,
    "snappymail": _snappymail,
}


def _or_nothing(lines: list[str]) -> str | None:
    """The text; None when only comments are left of it."""
    if all(not line.strip() or line.lstrip().startswith("#") for line in lines):
        return None
    return "\n".join(lines) + "\n"
