"""``python -m ganzoo``."""

from __future__ import annotations

import sys

from ganzoo.cli import program

if __name__ == "__main__":
    sys.exit(program())
