"""``python -m ganzoo``."""

from __future__ import annotations

import os
import sys

# Python puts the current directory first for -m: a file ``torch.py`` there would run in place of torch. The directory
# stays where ganzoo itself is in it.
HERE = os.getcwd()  # noqa: PTH109  # pathlib is not imported yet, and would be looked for in this directory
if __name__ == "__main__" and sys.path[0] == HERE and not __file__.startswith(os.path.join(HERE, "ganzoo", "")):  # noqa: PTH118
    del sys.path[0]

from ganzoo.cli import program  # noqa: E402  # see above

if __name__ == "__main__":
    sys.exit(program())
