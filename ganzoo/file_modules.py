"""Import Python files that are no modules of a package: the plugin files that a user names.

A worker process unpickles datasets whose classes such a file defines. So each file is imported under a name that is a
function of its path, and a process that starts later can import the same files under the same names.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import zlib
from pathlib import Path
from types import ModuleType

PREFIX = "ganzoo_file_"
"""The names of all modules that were imported from files begin with ``PREFIX``."""


def name_of(file: Path) -> str:
    """Name the module of a file.

    Args:
        file: the absolute path.

    Returns:
        A name that two files of the same base name do not share.

    Example:
        >>> name_of(Path("/tmp/soft.py")).startswith("ganzoo_file_soft_")
        True
    """
    return f"{PREFIX}{re.sub(r'[^0-9A-Za-z_]', '_', file.stem)}_{zlib.crc32(str(file).encode()):08x}"


def import_file(file: Path) -> ModuleType:
    """Import a file. A second call runs the file again.

    Args:
        file: the path of a Python file.

    Returns:
        The module.

    Raises:
        BaseException: whatever the file raises. The module is then not in ``sys.modules``.
    """
    name = name_of(file)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look up the annotations and classes of the file there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def imported() -> tuple[Path, ...]:
    """List the files that this process has imported, in the order of the imports.

    Returns:
        The paths.
    """
    return tuple(
        Path(module.__file__)
        for name, module in sys.modules.items()
        if name.startswith(PREFIX) and module.__file__ is not None
    )


def import_missing(files: tuple[Path, ...]) -> None:
    """Import the files that this process has not imported yet.

    Args:
        files: what ``imported`` returned in another process.
    """
    for file in files:
        # A file that was removed since is no error here. Where a class of the file is needed, unpickling fails and says
        # so.
        if name_of(file) not in sys.modules and file.is_file():
            import_file(file)
