"""One function for each parser that reads what a stranger or a daemon sends.

Each takes any bytes, lets the parser read them, and raises when the parser does something that it must not: another
exception than its own, a value that breaks its promises, or, for a stream, another outcome when the same bytes come in
reads of 1, 16, 128, 4096 bytes or all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mailu.address import AddressError, parse_address, parse_domain, split_detail, unicode_domain
from mailu.settings import SettingsError, load_settings
from mailu.settings.envfile import parse_env, quote_value
from mailu.wire import BadRequest, netstring, sasl, socketmap
from mailu.wire.dovecot_auth import AuthDecoder, decode_response, encode_fail
from mailu.wire.dovecot_dict import DictDecoder, encode_value
from mailu.wire.dovecot_master import MasterDecoder
from mailu.wire.http import HttpConnection, HttpResponse
from mailu.wire.mta_sts import parse_policy, parse_record, postfix_policy
from mailu.wire.netstring import NetstringDecoder
from mailu.wire.policy import PolicyDecoder, encode_action

Feed = Callable[[bytes], Iterable[object]]
READ_SIZES = (1, 16, 128, 4096)


def http_feed() -> Feed:
    """Requests of a connection, each answered before the next, as a server does it."""
    connection = HttpConnection()

    def feed(data: bytes) -> Iterable[object]:
        connection.feed(data)
        while not connection.must_close and (request := connection.next_request()) is not None:
            request.form()
            yield request
            connection.respond(HttpResponse(200, b"ok"))

    return feed


def socketmap_feed() -> Feed:
    """Netstrings, each a look-up."""
    decoder = NetstringDecoder()

    def feed(data: bytes) -> Iterable[object]:
        for payload in decoder.feed(data):
            lookup = socketmap.parse_request(payload)
            assert lookup.map_name + b" " + lookup.key == payload
            yield lookup

    return feed


STREAMS: dict[str, Callable[[], Feed]] = {
    "netstring": lambda: NetstringDecoder().feed,
    "socketmap": socketmap_feed,
    "policy": lambda: PolicyDecoder().feed,
    "auth": lambda: AuthDecoder().feed,
    "dict": lambda: DictDecoder().feed,
    "master": lambda: MasterDecoder().feed,
    "http": http_feed,
}
"""Parsers of streams: what a new connection is fed with."""


def cut(stream: bytes, size: int) -> list[bytes]:
    """The stream as reads of *size* bytes."""
    return [stream[start : start + size] for start in range(0, len(stream), size)]


def read_at_all_sizes(name: str) -> Callable[[bytes], None]:
    """The function for a stream."""

    def run(data: bytes) -> None:
        whole = outcome(name, [data])
        for size in READ_SIZES:
            assert outcome(name, cut(data, size)) == whole, f"{name} differs at reads of {size}"
        # Two clients' worth in one read: what follows a good request is the next one.
        if whole[1] and name not in ("http", "auth"):
            twice = outcome(name, [data + data])
            assert twice[0][: len(whole[0])] == whole[0]

    return run


def outcome(name: str, pieces: Iterable[bytes]) -> tuple[list[object], bool]:
    """The requests in *pieces* before the first that makes no sense, and whether there was none such."""
    requests: list[object] = []
    feed = STREAMS[name]()
    try:
        for piece in pieces:
            for request in feed(piece):
                requests.append(request)
    except BadRequest:
        return requests, False
    return requests, True


def run_address(data: bytes) -> None:
    """An address that is taken is canonical: reading what it is written as gives the same, in both forms."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        address = parse_address(text)
    except AddressError as refusal:
        assert len(str(refusal)) < 1000  # noqa: PT017
        return
    assert parse_address(str(address)) == address
    assert str(address).count("@") == 1
    assert not any(character.isspace() or not character.isprintable() for character in str(address)), str(address)
    assert parse_address(address.shown).localpart == address.localpart
    name, detail = split_detail(address.localpart, "+-")
    assert name + detail == address.localpart


def run_domain(data: bytes) -> None:
    """A domain that is taken is ASCII and canonical; what people see reads back."""
    try:
        domain = parse_domain(data.decode("utf-8", "surrogateescape"))
    except AddressError:
        return
    assert domain.isascii()
    assert domain == domain.lower()
    assert parse_domain(domain) == domain
    assert parse_domain(unicode_domain(domain)) == domain


def run_envfile(data: bytes) -> None:
    """Any file gives entries, problems or both; what was read and written again reads the same."""
    text = data.decode("utf-8", "replace")
    found = parse_env(text)
    written = "".join(f"{name}={quote_value(value)}\n" for name, value in found.values.items())
    again = parse_env(written)
    assert again.values == found.values
    assert not again.problems
    assert all("\n" not in sentence for sentence in (*found.problems, *found.warnings))


def run_settings(data: bytes) -> None:
    """Any variables give settings or a SettingsError that names them."""
    values = parse_env(data.decode("utf-8", "replace")).values
    base = {"DOMAIN": "example.com", "HOSTNAMES": "mail.example.com", "SECRET_KEY": "0123456789abcdef"}
    try:
        settings = load_settings(None, base | values)
    except SettingsError as refusal:
        assert refusal.problems  # noqa: PT017
        return
    assert type(settings).from_json(settings.to_json()) == settings


def run_sasl(data: bytes) -> None:
    """Responses, one a line, of an exchange that the first line names."""
    mechanism, *responses = data.split(b"\n")
    exchange = sasl.exchange(mechanism.decode("latin-1"))
    if exchange is None:
        return
    try:
        step = exchange.begin(decode_response(responses.pop(0)) if responses else None)
        while responses and isinstance(step, sasl.Challenge):
            step = exchange.proceed(decode_response(responses.pop(0)))
    except BadRequest:
        return
    assert isinstance(step, sasl.Challenge | sasl.Credentials)


def run_mta_sts(data: bytes) -> None:
    """A policy that is taken gives one line for Postfix, without room for another parameter."""
    parse_record([data.decode("utf-8", "replace")])
    try:
        policy = parse_policy(data)
    except BadRequest:
        return
    assert len(postfix_policy(policy).split()) == 3
    assert policy.max_age_seconds >= 0


def run_replies(data: bytes) -> None:
    """No text of a stranger's breaks out of a reply that quotes it."""
    text = data.decode("utf-8", "replace")
    assert encode_action(text).count(b"\n") == 2
    assert encode_fail(1, text, user=text).count(b"\n") == 1
    assert encode_value(text).count(b"\n") == 1
    (payload,) = NetstringDecoder().feed(socketmap.temporary_failure(text))
    assert payload.startswith(b"TEMP ")
    assert list(NetstringDecoder(10**7).feed(netstring.encode(data))) == [data]


TARGETS: dict[str, Callable[[bytes], None]] = {
    **{name: read_at_all_sizes(name) for name in STREAMS},
    "address": run_address,
    "domain": run_domain,
    "envfile": run_envfile,
    "settings": run_settings,
    "sasl": run_sasl,
    "mta_sts": run_mta_sts,
    "replies": run_replies,
}
