"""``python -m mailu.cli``."""

from mailu.cli import main

main()
