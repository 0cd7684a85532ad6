"""Rules that look at more than one thing: what is named twice, and what refers to what is not there.

Only what a document names is looked at, and what a deletion would leave hanging: what was stored long ago and breaks
a rule of today does not stand in the way of an import that has nothing to do with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mailu.directory.archive.attributes import ALIAS, SENDER_LISTS, USER, Record
from mailu.directory.archive.errors import Problems
from mailu.directory.archive.reading import Wanted
from mailu.directory.changes.aliases import check_destination
from mailu.directory.changes.domains import check_smart_host
from mailu.directory.changes.senders import MOST_SENDERS
from mailu.directory.changes.users import check_forward, check_reply_dates


def check(wanted: Wanted) -> None:
    """Raise ArchiveError with everything that does not fit together."""
    problems = Problems()
    names = _domain_names(wanted, problems)
    for email, place in wanted.places["user"].items():
        if (record := wanted.state.user.get(email)) is not None:
            _check_address(email, "user", place, wanted, names, problems)
            _check_user(record, place, wanted, problems)
    for email, place in wanted.places["alias"].items():
        if (record := wanted.state.alias.get(email)) is not None:
            _check_address(email, "alias", place, wanted, names, problems)
            _check_alias(email, record, place, wanted, problems)
    for name, place in wanted.places["domain"].items():
        if (record := wanted.state.domain.get(name)) is not None:
            with problems.within(place):
                check_smart_host(*(record.get(each) for each in ("relayhost", "relayuser", "relaypassword")))
    _check_senders(wanted, problems)
    _check_digests(wanted, problems)
    problems.raise_if_any()


def _check_digests(wanted: Wanted, problems: Problems) -> None:
    """No two keys to the API are one."""
    seen: dict[str, str] = {}
    for number, record in wanted.state.api_token.items():
        other = seen.setdefault(record["digest"], number)
        if other != number:
            place = wanted.places["api_token"].get(number) or wanted.places["api_token"].get(other) or "api_token"
            problems.add(f"{place}.digest", f"this is the digest of key {other} already")


def _domain_names(wanted: Wanted, problems: Problems) -> dict[str, str]:
    """Every name of a domain and what it is; domains, their other names and relayed domains share one name space."""
    found = dict.fromkeys(wanted.state.domain, "a domain")
    places = wanted.places["domain"]
    for domain, record in wanted.state.domain.items():
        for name in record.get("alternatives", ()):
            if name in found:
                place = places.get(domain) or places.get(name) or f"domain {domain}"
                problems.add(f"{place}.alternatives", f"{name} is {found[name]} already")
            found[name] = f"another name of {domain}"
    for name in wanted.state.relay:
        if name in found:
            place = wanted.places["relay"].get(name) or places.get(name) or "relay"
            problems.add(place, f"{name} cannot be relayed: it is {found[name]}")
    return found


def _check_senders(wanted: Wanted, problems: Problems) -> None:
    """No list says two things about one sender, or is longer than it may be."""
    for section, names in (("domain", wanted.places["domain"]), ("user", wanted.places["user"])):
        for name, place in names.items():
            record = wanted.state.section(section).get(name, {})
            allowed, denied = (record.get(each, {}) for each in SENDER_LISTS)
            for sender in sorted(allowed.keys() & denied.keys()):
                problems.add(f"{place}.denied_senders", f"{sender} stands in allowed_senders too")
            if len(allowed) + len(denied) > MOST_SENDERS[section]:
                problems.add(f"{place}.denied_senders", f"both together may have {MOST_SENDERS[section]} senders")
    if wanted.places["sender"] and len(wanted.state.sender) > MOST_SENDERS["server"]:
        problems.add("sender", f"the list may have {MOST_SENDERS['server']} senders")


def _check_address(
    email: str, section: str, place: str, wanted: Wanted, names: Mapping[str, str], problems: Problems
) -> None:
    domain = email.rpartition("@")[2]
    if domain not in wanted.state.domain:
        what = f"{domain} is {names[domain]}" if domain in names else f"there is no domain {domain}"
        problems.add(f"{place}.email", f"{what}; expected an address in a domain of the document")
    if section == "alias" and email in wanted.state.user:
        problems.add(f"{place}.email", f"{email} is a user already")
    if section == "user" and email in wanted.state.alias and email not in wanted.places["alias"]:
        problems.add(f"{place}.email", f"{email} is an alias already")


def _check_user(record: Record, place: str, wanted: Wanted, problems: Problems) -> None:
    def value(name: str) -> Any:
        return record.get(name, USER.attributes[name].default)

    with problems.at(f"{place}.forward_destination"):
        check_forward(value("forward_enabled"), value("forward_destination"))
    with problems.at(f"{place}.reply_enddate"):
        check_reply_dates(value("reply_startdate"), value("reply_enddate"))
    for name in ("manager_of", "domain_accesses"):
        for domain in record.get(name, ()):
            if domain not in wanted.state.domain:
                problems.add(f"{place}.{name}", f"there is no domain {domain}")


def _check_alias(email: str, record: Record, place: str, wanted: Wanted, problems: Problems) -> None:
    destination = record.get("destination", ())
    if not destination:
        problems.add(f"{place}.destination", "this is needed: at least one address")
    wildcard = record.get("wildcard", ALIAS.attributes["wildcard"].default)
    with problems.at(f"{place}.destination"):
        check_destination(email, wildcard, destination)
    owner = record.get("owner_email")
    if owner is not None and owner not in wanted.state.user:
        problems.add(f"{place}.owner_email", f"there is no user {owner}")
