"""Write the reference of all settings, or check that it is up to date.

python -m mailu.settings docs/settings.md
python -m mailu.settings --check docs/settings.md
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mailu.settings.reference import reference


def main(arguments: list[str] | None = None) -> int:
    """Return 0, or 1 when ``--check`` finds the file missing or stale."""
    parser = argparse.ArgumentParser(prog="python -m mailu.settings", description="Write the reference of settings.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail when the file is stale")
    parser.add_argument("file", type=Path)
    options = parser.parse_args(arguments)
    if not options.check:
        options.file.write_text(reference(), encoding="utf-8")
        return 0
    if options.file.is_file() and options.file.read_text(encoding="utf-8") == reference():
        return 0
    print(f"{options.file} is stale; run: python -m mailu.settings {options.file}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
