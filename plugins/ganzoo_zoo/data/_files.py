"""Where image files lie: a folder tree, or a zip that is read in memory and never unpacked to the disk."""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol, TypeAlias

from ganzoo import errors, user_path
from ganzoo.image_formats import package, suffixes

from ._decode import Unreadable, reason
from ._images import shown

Skipped: TypeAlias = tuple[str, str]  # a name, and why
_LARGEST = 2**28  # bytes that one member of a zip may unpack to: more is a bomb, not a picture
_ENTRIES = 4  # times that a folder is read through links: n folders linked to one another have n! ways


class Files(Protocol):
    """Image files by name, ``class/number.png``, in natural order, and the files that cannot be used.

    Attributes:
        names: names of the image files, in natural order.
        skipped: names of files that cannot be used, with the reasons.
        ignored: the number of files that are not looked at, by their endings. Hidden files are not counted.
        empty: names of the folders at the first level that hold none of the files.
        root: the folder or the zip.
    """

    names: list[str]
    skipped: list[Skipped]
    ignored: Counter[str]
    empty: list[str]

    root: Path

    def open(self, name: str) -> BinaryIO:
        """The bytes of an image file, for any thread and any process.

        Args:
            name: a name of ``names``.
        """

    def stamp(self, name: str) -> list[int]:
        """Numbers that change with the bytes of a file, known without reading the file.

        Args:
            name: a name of ``names``.
        """


def not_looked_at(files: Files) -> str:
    """The files that are not looked at, by their endings, with the packages that would read them. Empty for none.

    Args:
        files: the files of a folder or a zip.
    """
    found = []
    for ending, count in files.ignored.most_common(6):
        install = f", which needs: python -m pip install {package(ending)}" if package(ending) else ""
        found.append(f"{count} {ending or 'without an ending'}{install}")
    return ", ".join(found) + (", ..." if len(files.ignored) > 6 else "")


def listed(path: str, who: str = "folder", endings: Sequence[str] | None = None) -> Files:
    """The image files of a folder tree or of a zip, or the files with other endings.

    Args:
        path: the folder or the zip.
        who: name of the data part, for the message.
        endings: the endings of the files, such as ``.png``. None takes those of the images that can be read here.

    Raises:
        DataError: the path does not exist, or is neither a folder nor a zip.
    """
    place, endings = user_path(path), suffixes() if endings is None else endings
    what = f"{who}: path={shown(path)}"
    if not path.strip():
        raise errors.DataError(f"{who}: path is empty: name a folder of images or a .zip of them")
    try:
        mode = place.stat().st_mode
    except OSError as error:
        found = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({reason(error)})"
        raise errors.DataError(f"{what} {found}: name a folder of images or a .zip of them") from error
    if stat.S_ISDIR(mode):
        return Tree(place, endings)
    try:
        if stat.S_ISREG(mode) and (place.suffix.lower() == ".zip" or zipfile.is_zipfile(place)):
            return Archive(place, endings)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise errors.DataError(f"{what} is not a readable zip ({reason(error)}): copy or download it again") from error
    advice = (
        "name the folder that it lies in" if place.suffix.lower() in suffixes() else "unpack it and name the folder"
    )
    raise errors.DataError(f"{what} is neither a folder nor a .zip: {advice}")


class Tree:
    """A folder with all folders below. Links are followed, except to a folder that the link lies in.

    A folder that several links lead to is read four times at most.

    Args:
        root: the folder.
        endings: the endings of the files.
    """

    def __init__(self, root: Path, endings: Sequence[str] | None = None) -> None:
        self.root, endings = root, suffixes() if endings is None else endings
        self.ignored: Counter[str] = Counter()
        folders: set[str] = set()
        self.names: list[str] = []
        self.skipped: list[Skipped] = []
        entered: Counter[tuple[int, int]] = Counter()
        below: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
        while below:
            folder, above = below.pop()
            try:
                status = (root / folder).stat()
                number = (status.st_dev, status.st_ino)
                here = above | {number}
                if here == above:
                    continue  # a link back to a folder that we came through
                entered[number] += 1
                if entered[number] > _ENTRIES:
                    self.skipped.append((folder, f"linked from more than {_ENTRIES} places"))
                    continue
                with os.scandir(root / folder) as entries:
                    for entry in sorted(entries, key=lambda entry: entry.name):
                        name = folder + entry.name
                        if _hidden(name):
                            continue
                        kind = _kind(entry)
                        if kind == "folder":
                            folders |= {name} if not folder else set()
                            below.append((name + "/", here))
                        elif _ends(name, endings) and kind == "file":
                            self.names.append(name)
                        elif _ends(name, endings):
                            self.skipped.append((name, kind))
                        elif kind == "file":
                            self.ignored[PurePosixPath(name).suffix.lower()] += 1
            except OSError as error:
                self.skipped.append((folder or "./", reason(error)))
        self.names.sort(key=natural)
        self.skipped.sort()
        self.empty = _without(folders, self.names)

    def open(self, name: str) -> BinaryIO:
        """The file, open for reading."""
        return (self.root / name).open("rb")

    def stamp(self, name: str) -> list[int]:
        """Size and times of change. The second time reveals a copy that carries the old modification time."""
        try:
            status = (self.root / name).stat()
        except OSError:
            return []
        return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


class Archive:
    """A zip. Names that lead out of the zip's folder are skipped, and no file is written.

    Args:
        path: the zip.
        endings: the endings of the files.
    """

    def __init__(self, path: Path, endings: Sequence[str] | None = None) -> None:
        endings = suffixes() if endings is None else endings
        self.root, self.endings = path, endings
        self._opened = (os.getpid(), zipfile.ZipFile(path))
        self._members: dict[str, zipfile.ZipInfo] = {}
        self.skipped: list[Skipped] = []
        self.ignored: Counter[str] = Counter()
        folders: set[str] = set()
        for info in self._opened[1].infolist():
            name = info.filename.replace("\\", "/")
            if info.is_dir() or not _ends(name, endings):
                if info.is_dir():
                    folders |= set() if _hidden(name) else {name.split("/")[0]}
                elif not _hidden(name):
                    self.ignored[PurePosixPath(name).suffix.lower()] += 1
                continue
            if name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in name.split("/"):
                self.skipped.append((name, "leaves the zip"))
            elif name in self._members:
                self.skipped.append((name, "twice in the zip: the last is used"))
                self._members[name] = info
            elif not _hidden(name):
                self._members[name] = info
        self.names = sorted(self._members, key=natural)
        self.empty = _without(folders, self.names)
        self.skipped.sort()

    def open(self, name: str) -> BinaryIO:
        """The member's bytes. Threads can share a ``ZipFile``, while a forked process needs its own file position."""
        if self._opened[0] != os.getpid():
            self._opened = (os.getpid(), zipfile.ZipFile(self.root))
        info = self._members[name]
        if info.file_size > _LARGEST:
            raise Unreadable(f"unpacks to more than {_LARGEST >> 20} MiB")
        if info.flag_bits & 1:
            raise Unreadable("encrypted")
        # A member may unpack to more than the zip states. `read` with a number unpacks no more than the number.
        with self._opened[1].open(info) as member:
            content = member.read(info.file_size + 1)
        if len(content) != info.file_size:
            raise Unreadable("of another size than the zip states")
        return io.BytesIO(content)

    def beside(self, name: str) -> bytes:
        """The bytes of a file beside the images: at the top of the zip, or in its single outer folder.

        Args:
            name: the name of the file.

        Raises:
            KeyError: the zip has no such file.
            OSError: the file is too large.
        """
        archive = self._opened[1]
        outer = {each.split("/")[0] for each in self.names}
        found = next((n for n in (name, *(f"{each}/{name}" for each in outer)) if n in archive.namelist()), name)
        info = archive.getinfo(found)
        if info.file_size > _LARGEST or info.flag_bits & 1:
            raise OSError("too large, or encrypted")
        with archive.open(info) as member:
            return member.read(_LARGEST)

    def stamp(self, name: str) -> list[int]:
        """Checksum and size, as the zip states."""
        info = self._members[name]
        return [info.CRC, info.file_size]

    def __reduce__(self) -> tuple[type[Archive], tuple[Path, Sequence[str]]]:  # for workers that are spawned
        return Archive, (self.root, self.endings)


def _without(folders: set[str], names: Sequence[str]) -> list[str]:
    """The folders in which no file of the names lies."""
    return sorted(folders - {name.split("/")[0] for name in names})


def _kind(entry: os.DirEntry[str]) -> str:
    """``folder``, ``file``, or the reason why the entry is neither: reading a pipe would wait forever."""
    with contextlib.suppress(OSError):  # a link to itself
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
    return "broken link" if entry.is_symlink() else "not a regular file"


def _hidden(name: str) -> bool:
    """Whether a file is hidden, or a shadow file of macOS: ``._x``, ``__MACOSX/``."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _ends(name: str, endings: Sequence[str]) -> bool:
    return PurePosixPath(name).suffix.lower() in endings


def natural(name: str) -> tuple[object, ...]:
    """A key that sorts ``a/2.png`` before ``a/10.png``, folder by folder, in the same way on every file system.

    Args:
        name: a path with slashes.

    Example:
        >>> sorted(["a/10.png", "a/2.png"], key=natural)
        ['a/2.png', 'a/10.png']
    """
    parts = (re.split(r"([0-9]+)", part) for part in name.split("/"))
    # The name itself tells a/01 from a/1. It stands apart, since paths of several depths are compared.
    return [[(len(n := t.lstrip("0")), n) if i % 2 else t for i, t in enumerate(part)] for part in parts], name
