"""The configuration as a document: domains, people, aliases and relays, out of the directory and into it again.

Export: ``load_state``, ``export_sections``, then ``yaml_text`` or ``json_text``. Import: ``read_document`` of a text
(or ``document_of`` a mapping), ``plan_import`` in a transaction, and ``apply_plan`` in the same one. Keys of DKIM are
files; ``Plan.keys`` says what is to become of them. ``mailu.configuration`` puts this together with the rest.
"""

from sqlalchemy.orm import Session

from mailu.directory.archive.attributes import HIDDEN, KINDS, KeyRecord
from mailu.directory.archive.checks import check
from mailu.directory.archive.document import SECTIONS, Document, document_of, read_document
from mailu.directory.archive.errors import ArchiveError, Problem
from mailu.directory.archive.exporting import BadFilter, ExportOptions, export_sections
from mailu.directory.archive.plan import Change, Plan, Verb, differences
from mailu.directory.archive.reading import read_wanted
from mailu.directory.archive.signing import KeyChange
from mailu.directory.archive.state import State, load_state
from mailu.directory.archive.text import json_text, yaml_text
from mailu.directory.archive.tools import Hashing, SigningKeys, Tools
from mailu.directory.archive.writing import apply_plan

__all__ = [
    "HIDDEN",
    "KINDS",
    "SECTIONS",
    "ArchiveError",
    "BadFilter",
    "Change",
    "Document",
    "ExportOptions",
    "Hashing",
    "KeyChange",
    "KeyRecord",
    "Plan",
    "Problem",
    "SigningKeys",
    "State",
    "Tools",
    "Verb",
    "apply_plan",
    "document_of",
    "export_sections",
    "json_text",
    "load_state",
    "plan_import",
    "read_document",
    "yaml_text",
]


def plan_import(session: Session, document: Document, tools: Tools, *, update: bool = False) -> Plan:
    """Compare *document* with the directory; nothing is changed by it.

    Without *update* the document is all there is to be: what it does not name goes. Raises ArchiveError with all that
    is wrong, where (with lines), and what was expected.
    """
    current = load_state(session)
    try:
        wanted = read_wanted(document, current, tools, update=update)
        check(wanted)
    except ArchiveError as error:
        raise document.with_lines(error) from None
    return differences(current, wanted)
