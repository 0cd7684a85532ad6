"""The configuration as a document, with all that belongs to it: the database, the hashes, the keys of DKIM.

The command line, and taking over from an earlier Mailu, call this. Everything an import does is done or nothing is:
rows in one transaction, keys right after its commit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mailu.address import DomainName
from mailu.auth import passwords, tokens
from mailu.control import domain_facts
from mailu.directory import archive
from mailu.directory.archive import Document, ExportOptions, KeyRecord, Plan, Tools
from mailu.directory.changes import Actor
from mailu.directory.store import Store
from mailu.identity import dkim_staging
from mailu.identity.dkim import SigningKey, State, load_keys
from mailu.identity.dkim_staging import STATES, StagedKeys
from mailu.identity.dns_records import Purpose, records
from mailu.places import Places
from mailu.settings import Settings

HASHING = archive.Hashing(
    hash_password=passwords.hash_password,
    hash_token=tokens.hash_token,
    verify=passwords.verify,
    is_supported=passwords.is_supported,
    without_prefix=passwords.without_prefix,
)


@dataclass(frozen=True, slots=True)
class KeyFolder:
    """The keys of DKIM in the folder of a root, as ``archive.SigningKeys``."""

    places: Places
    main_selector: str

    def of(self, domain: str) -> list[KeyRecord]:
        """All keys of *domain*; none where the folder is not there. Raises DkimKeyError."""
        return [_key_record(key) for key in load_keys(self.places.dkim, DomainName(domain), STATES)]

    def parse(self, text: str) -> str:
        """The key of *text* in canonical PEM. Raises DkimKeyError."""
        return dkim_staging.canonical_pem(text)

    def generate(self) -> str:
        """A new RSA key."""
        return dkim_staging.generated_pem()


@dataclass(frozen=True, slots=True)
class Configuration:
    """What can be done with the configuration of one installation."""

    settings: Settings
    store: Store

    @property
    def places(self) -> Places:
        """Folders of the root."""
        return Places(self.settings.root)

    def export(self, options: ExportOptions, *, as_json: bool = False) -> Iterator[str]:
        """The text of the document, in pieces. Raises BadFilter and DkimKeyError."""
        with self.store.read() as session:
            state = archive.load_state(session, facts=options.needs_facts)
        sections = archive.export_sections(state, self._tools(), options)
        return archive.json_text(sections) if as_json else archive.yaml_text(sections)

    def plan(self, document: Document, *, update: bool = False) -> Plan:
        """What importing *document* would change; nothing is changed. Raises ArchiveError."""
        with self.store.read() as session:
            return archive.plan_import(session, document, self._tools(), update=update)

    def apply(self, document: Document, *, actor: Actor, update: bool = False) -> Plan:
        """Import *document* and return what was changed. Raises ArchiveError and ChangeError; then nothing was."""
        with StagedKeys(self.places.dkim) as keys:
            with self.store.session() as session:
                plan = archive.plan_import(session, document, self._tools(), update=update)
                self._stage(plan, keys)
                archive.apply_plan(session, plan, actor=actor, retention_days=self.settings.retention_days)
            keys.commit()
        return plan

    def _stage(self, plan: Plan, keys: StagedKeys) -> None:
        for change in plan.changes:
            if change.section == "domain" and change.verb is archive.Verb.DELETE:
                keys.drop(DomainName(change.name))
        for key in plan.keys:
            domain = DomainName(key.domain)
            if key.key is None:
                keys.drop(domain, key.selector)
            else:
                keys.put(domain, key.selector, _state(key.key.state), key.key.private_pem)

    def _tools(self) -> Tools:
        return Tools(HASHING, KeyFolder(self.places, self.settings.dkim_selector), self._dns)

    def _dns(self, domain: str) -> Mapping[str, Any]:
        """The names are those that exports have always had."""
        facts = domain_facts(self.settings, self.places, domain)
        lines: dict[Purpose, list[str]] = {}
        for record in records(facts):
            lines.setdefault(record.purpose, []).append(record.line())
        one = {
            "dns_mx": Purpose.MX,
            "dns_spf": Purpose.SPF,
            "dns_dkim": Purpose.DKIM,
            "dns_dmarc": Purpose.DMARC,
            "dns_dmarc_report": Purpose.DMARC_REPORT,
        }
        found: dict[str, Any] = {name: lines[purpose][0] for name, purpose in one.items() if purpose in lines}
        found["dns_autoconfig"] = lines.get(Purpose.CLIENTS, [])
        if Purpose.TLSA in lines:
            found["dns_tlsa"] = lines[Purpose.TLSA]
        if facts.dkim:
            found["dkim_publickey"] = facts.dkim[0][1].rpartition("p=")[2]
        return found


def _key_record(key: SigningKey) -> KeyRecord:
    return KeyRecord(key.selector, key.state, key.private_pem)


def _state(text: str) -> State:
    return next(state for state in STATES if state == text)
