#!/usr/bin/env python3
"""Measure how the source text reads: docstrings, comments, documented parameters, and types that say nothing.

    .ci/language.py                         a table of every folder of ganzoo and ganzoo_zoo
    .ci/language.py --files ganzoo/step     the same by file, below one folder
    .ci/language.py --show ganzoo/lab.py    every hit of one file, with its line number
    .ci/language.py --check                 exit with status 1 where a limit of LIMITS is exceeded

The counts are made from Python's own parser and tokenizer. Nothing is imported, so that the script runs without torch.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import NamedTuple

PACKAGES = ("ganzoo", "plugins/ganzoo_zoo")


def words_of(text: str) -> frozenset[str]:
    """The words of a list that is written as text, so that the list stays short to read."""
    return frozenset(text.split())


PRO_FORMS = words_of("""
    it its itself they them their theirs themselves this these those one ones what who whom whose whatever whoever
    everything nothing something such likewise here there
""")
"""Words that stand for a noun. ``that`` and ``one`` are judged by their neighbours: see `stands_for_a_noun`."""

FUNCTION_WORDS = words_of("""
    a an the of in on at to from for with without by as is are was were be been being has have had do does did may might
    can could must shall should will would not no and or but nor so if than then that which who whose where when while
    until unless because before after per its it they these those this each every
""")
"""Words that never are a noun or an adjective: after ``one`` or ``that`` they show that no noun follows."""

PREPOSITIONS = words_of("""
    of in on at to from for with without by as than like before after about into over under and or but
""")
"""Words after which ``that`` cannot begin a relative clause."""

COMMENTED = ("ganzoo/step", "ganzoo/speed/capture", "ganzoo/speed/compilers", "ganzoo/data", "ganzoo/disk/checkpoint")
"""Beginnings of the paths whose code must be commented densely: the code that is hardest to read."""

LONGEST = 600
"""Lines that a file may have: longer files are split along a responsibility that a reader would name."""

PRAGMA = re.compile(r"#\s*(type:|noqa|fmt:|pragma|ruff:|mypy:|!)")
NOT_PROSE = re.compile(r"(?:Formula|Source|Sources|Example|Examples|References):$")
WORD = re.compile(r"[A-Za-z]+(?:['-][A-Za-z]+)*")


class Hit(NamedTuple):
    """A place in a file that a measure counted.

    Attributes:
        line: the line's number, from 1.
        what: what was found there.
    """

    line: int
    what: str


@dataclass
class Counts:
    """Raw counts of a file, or the sum of several files.

    Attributes:
        words: words of docstring prose.
        pro_forms: pro-forms among these words.
        semicolons: semicolons in docstring prose.
        code: lines that hold code.
        comments: comments that are not instructions to a tool.
        parameters: public parameters.
        undocumented: public parameters that no docstring describes.
        anys: uses of the name ``Any``, imports aside.
        setattrs: uses of ``object.__setattr__``.
        ignores: ``type: ignore`` comments.
        lines: lines of the file, of any sort.
    """

    words: int = 0
    pro_forms: list[Hit] = field(default_factory=list)
    semicolons: list[Hit] = field(default_factory=list)
    code: int = 0
    comments: int = 0
    parameters: int = 0
    undocumented: list[Hit] = field(default_factory=list)
    anys: list[Hit] = field(default_factory=list)
    setattrs: list[Hit] = field(default_factory=list)
    ignores: list[Hit] = field(default_factory=list)
    lines: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def row(self) -> tuple[float, ...]:
        """The figures of the table, in the order of ``COLUMNS``."""
        documented = 100 * (1 - len(self.undocumented) / self.parameters) if self.parameters else 100.0
        return (
            per(1000, len(self.pro_forms), self.words),
            per(1000, len(self.semicolons), self.words),
            per(100, self.comments, self.code),
            documented,
            per(1000, len(self.anys), self.code),
            len(self.setattrs),
            len(self.ignores),
            self.words,
            self.code,
        )


COLUMNS = ("pro-forms", "semicolons", "comments", "args %", "Any", "setattr", "ignore", "words", "code")


def per(base: int, count: int, size: int) -> float:
    """``count`` for each ``base`` of ``size``, or 0 where there is nothing to count in."""
    return base * count / size if size else 0.0


# Docstrings ----------------------------------------------------------------------------------------------------------


def docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    """Docstrings of modules, classes and functions, and strings that stand right after an assignment.

    Args:
        tree: a parsed file.
    """
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for place, statement in enumerate(node.body):
            if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
                continue
            before = node.body[place - 1] if place else None
            if isinstance(statement.value.value, str) and isinstance(before, ast.Assign | ast.AnnAssign | None):
                yield statement.value


def prose(docstring: ast.Constant) -> Iterator[tuple[int, str]]:
    """The lines of a docstring that are sentences, with their numbers.

    Code in backticks, doctests, indented code after ``::`` and the sections of ``NOT_PROSE`` are left out. A section
    ends at the next line that is indented no deeper than the section's heading.

    Args:
        docstring: the node of the string.
    """
    section = -1  # indentation of the heading of the section that is skipped; -1 outside of such a section
    doctest = False
    for number, line in enumerate(str(docstring.value).splitlines(), docstring.lineno):
        text, indent = line.strip(), len(line) - len(line.lstrip())
        if text and indent <= section:
            section = -1
        doctest = bool(text) and (doctest or text.startswith(">>>"))  # a doctest's output ends at a blank line
        if NOT_PROSE.match(text) or text.endswith("::"):
            section = indent
        elif text and section < 0 and not doctest:
            yield number, re.sub(r"``[^`]*``|`[^`]*`|\S*[_=/]\S*", " x ", line)


def stands_for_a_noun(word: str, before: str, after: str) -> bool:
    """Whether a word is a pro-form at this place.

    ``one`` is a number where a noun follows. ``that`` is a pronoun at the start of a clause or after a preposition,
    where no noun follows. Elsewhere ``that`` begins a relative clause. ``such as`` introduces examples.

    Args:
        word: the word, in lower case.
        before: the word or punctuation mark before, "" at the start of a docstring.
        after: the word or punctuation mark after, "" at the end of a docstring.
    """
    no_noun_follows = not WORD.match(after) or after in FUNCTION_WORDS
    if word == "that":
        return no_noun_follows and (before in PREPOSITIONS or not WORD.match(before))
    if word == "one":
        return no_noun_follows
    if word == "such":
        return after != "as"
    return word in PRO_FORMS


def read_prose(tree: ast.Module) -> Counts:
    """Words, pro-forms and semicolons of all docstrings of a file.

    Args:
        tree: a parsed file.
    """
    counts = Counts()
    for docstring in docstrings(tree):
        found = [
            (number, token.lower())
            for number, line in prose(docstring)
            for token in re.findall(WORD.pattern + r"|[^\w\s]", line)
        ]
        tokens = ["", *(token for _, token in found), ""]
        for (number, token), before, after in zip(found, tokens, tokens[2:], strict=False):
            if token == ";":
                counts.semicolons.append(Hit(number, ";"))
            if WORD.match(token):
                counts.words += 1
                if stands_for_a_noun(token.split("'")[0], before, after):
                    counts.pro_forms.append(Hit(number, f"{before} {token.upper()} {after}".strip()))
    return counts


# Code ----------------------------------------------------------------------------------------------------------------


def read_code(source: str, tree: ast.Module) -> Counts:
    """Code lines and comments, and the measures that concern types.

    Args:
        source: the text of a file.
        tree: the same, parsed.
    """
    counts = Counts(lines=len(source.splitlines()))
    without_code = (
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    )
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if re.match(r"#\s*type:\s*ignore", token.string):
                counts.ignores.append(Hit(token.start[0], token.string))
                continue
            counts.comments += not PRAGMA.match(token.string)
        elif token.type not in without_code:
            lines.update(range(token.start[0], token.end[0] + 1))
    for docstring in docstrings(tree):
        lines.difference_update(range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1))
    counts.code = len(lines)
    for node in ast.walk(tree):
        if (isinstance(node, ast.Name) and node.id == "Any") or (
            isinstance(node, ast.Attribute) and node.attr == "Any"
        ):
            counts.anys.append(Hit(node.lineno, "Any"))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "object.__setattr__":
            counts.setattrs.append(Hit(node.lineno, "object.__setattr__"))
    return counts


# Parameters ----------------------------------------------------------------------------------------------------------

Function = ast.FunctionDef | ast.AsyncFunctionDef


def is_public(name: str) -> bool:
    """Whether a name is for users: no leading underscore, or called by Python itself."""
    return not name.startswith("_") or name in ("__init__", "__call__")


def described(node: ast.ClassDef | Function) -> set[str]:
    """Names that the ``Args:`` or ``Attributes:`` of a docstring describes.

    Args:
        node: a class or a function.
    """
    names: set[str] = set()
    inside, heading = False, 0
    for line in (ast.get_docstring(node) or "").splitlines():
        indent = len(line) - len(line.lstrip())
        if re.match(r"\s*(Args|Attributes):$", line):
            inside, heading = True, indent
        elif line.strip() and indent <= heading:
            inside = False
        elif inside and (match := re.match(r"\s*([*\w]+(?:, [*\w]+)*)(?: \([^)]*\))?:(?:\s|$)", line)):
            names.update(name.lstrip("*") for name in match[1].split(", "))
    return names


def parameters(function: Function, method: bool) -> list[str]:
    """Names of the parameters that a caller gives.

    Args:
        function: the definition.
        method: whether the function stands in a class, so that the first parameter is the object.
    """
    given = function.args
    positional = [a.arg for a in (*given.posonlyargs, *given.args)]
    if method and not any(ast.unparse(d) == "staticmethod" for d in function.decorator_list):
        positional = positional[1:]
    named = [*positional, *(a.arg for a in (given.vararg, *given.kwonlyargs, given.kwarg) if a is not None)]
    return [name for name in named if not name.startswith("_")]


def has_fields(node: ast.ClassDef, ancestors: set[str]) -> bool:
    """Whether the annotated names in a class's body are parameters: of a dataclass, a named tuple, or a part.

    Args:
        node: the class.
        ancestors: the names of all classes above the class.
    """
    return bool(ancestors & {"Part", "NamedTuple", "TypedDict"}) or any(
        "dataclass" in ast.unparse(d).split("(")[0].split(".") for d in node.decorator_list
    )


def field_names(node: ast.ClassDef) -> list[str]:
    """Public fields of a class that no string describes right after the field.

    Args:
        node: a class whose annotated names are fields.
    """
    names = []
    for statement, after in zip(node.body, [*node.body[1:], None], strict=True):
        if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
            continue
        constant = statement.target.id.startswith("_") or "ClassVar" in ast.unparse(statement.annotation)
        if not constant and not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)):
            names.append(statement.target.id)
    return names


def read_parameters(tree: ast.Module, classes: dict[str, ast.ClassDef]) -> Counts:
    """Public parameters, and those among them that no docstring describes.

    A method that a base class in ``classes`` defines too is described in the base class. Command-line functions are
    described by the help texts of their options.

    Args:
        tree: a parsed file.
        classes: the classes of all files, by name.
    """
    counts = Counts()

    def count(node: ast.ClassDef | Function, names: Iterable[str], known: set[str]) -> None:
        for name in names:
            counts.parameters += 1
            if name not in known:
                counts.undocumented.append(Hit(node.lineno, f"{node.name}({name})"))

    def visit(body: list[ast.stmt], owner: ast.ClassDef | None) -> None:
        above = ancestors_of(owner, classes) if owner is not None else set()
        inherited = {f.name for name in above if name in classes for f in classes[name].body if isinstance(f, Function)}
        for node in body:
            if isinstance(node, ast.ClassDef) and is_public(node.name):
                if has_fields(node, ancestors_of(node, classes)):
                    count(node, field_names(node), described(node))
                visit(node.body, node)
            elif isinstance(node, Function) and is_public(node.name):
                decorators = " ".join(ast.unparse(d) for d in node.decorator_list)
                if re.search(r"\b(command|option|group|overload|setter)\b", decorators):
                    continue
                if node.name in inherited and node.name != "__init__":
                    continue
                known = described(node)
                if node.name == "__init__" and owner is not None:
                    known |= described(owner)
                count(node, parameters(node, owner is not None), known)

    visit(tree.body, None)
    return counts


def ancestors_of(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> set[str]:
    """Names of all classes above a class, without their modules.

    Args:
        node: the class.
        classes: the classes of all files, by name.
    """
    names: set[str] = set()
    queue = [node]
    while queue:
        for base in queue.pop().bases:
            name = ast.unparse(base).split("[")[0].split(".")[-1]
            if name not in names:
                names.add(name)
                queue += [classes[name]] if name in classes else []
    return names


# Files and folders ---------------------------------------------------------------------------------------------------


def imported(tree: ast.Module, trees: dict[str, ast.Module]) -> dict[str, ast.ClassDef]:
    """The classes that a file imports by name, from the modules that define the classes.

    Args:
        tree: the parsed file.
        trees: all parsed files, by their paths below the checkout.
    """
    found: dict[str, ast.ClassDef] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = {alias.name for alias in node.names}
            end = node.module.replace(".", "/") + ".py"
            body = next((each.body for name, each in trees.items() if name in (end, f"plugins/{end}")), [])
            found |= {each.name: each for each in body if isinstance(each, ast.ClassDef) and each.name in names}
    return found


def measure(root: Path) -> dict[str, Counts]:
    """Counts of every file of the packages, by the file's path below the root.

    Args:
        root: the folder of the checkout.
    """
    files = {
        file.relative_to(root).as_posix(): file.read_text(encoding="utf-8")
        for package in PACKAGES
        for file in sorted((root / package).rglob("*.py"))
    }
    trees = {name: ast.parse(text) for name, text in files.items()}
    classes = {node.name: node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    result = {}
    for name, tree in trees.items():
        result[name] = read_prose(tree) + read_code(files[name], tree)
        if all(is_public(part) for part in Path(name).with_suffix("").parts if part not in ("__init__", "__main__")):
            # Classes of two files may share a name: a file means its own class, or the class that the file imports.
            own = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
            result[name] += read_parameters(tree, classes | imported(tree, trees) | own)
    return result


def total(counts: dict[str, Counts], *beginnings: str) -> Counts:
    """Sum over the files whose paths begin with one of ``beginnings``."""
    return sum((c for name, c in counts.items() if name.startswith(beginnings)), Counts())


def broken_limits(counts: dict[str, Counts]) -> Iterator[str]:
    """A sentence for each limit that the source text breaks.

    Args:
        counts: the result of `measure` for the whole project.
    """
    for package in PACKAGES:
        pro_forms, semicolons = total(counts, package + "/").row()[:2]
        if pro_forms >= 20:
            yield f"{package} has {pro_forms:.1f} pro-forms per 1000 docstring words: fewer than 20 are allowed"
        if semicolons >= 3:
            yield f"{package} has {semicolons:.1f} semicolons per 1000 docstring words: fewer than 3 are allowed"
        anys = total(counts, package + "/").row()[4]
        if anys >= 10:
            yield f"{package} uses the name Any {anys:.1f} times per 1000 code lines: fewer than 10 are allowed"
    for beginning in COMMENTED:
        comments = total(counts, beginning).row()[2]
        if comments < 8:
            yield f"{beginning} has {comments:.1f} comments per 100 code lines: at least 8 are required"
    everywhere = total(counts, *PACKAGES)
    if everywhere.undocumented:
        yield f"{len(everywhere.undocumented)} of {everywhere.parameters} public parameters have no line in Args"
    for name, each in counts.items():
        if each.lines > LONGEST:
            yield f"{name} has {each.lines} lines: at most {LONGEST} are allowed"
    if len(everywhere.setattrs) > 2:
        yield f"object.__setattr__ is used {len(everywhere.setattrs)} times: at most 2 are allowed"
    if len(everywhere.ignores) > 40:
        yield f"type: ignore is used {len(everywhere.ignores)} times: at most 40 are allowed"


def table(rows: dict[str, Counts]) -> str:
    """A row of figures for each entry.

    Args:
        rows: counts by the name that the first column shows.
    """
    width = max(map(len, rows), default=0)
    lines = [" " * width + "".join(f"{name:>11}" for name in COLUMNS)]
    for name, counts in rows.items():
        lines.append(
            f"{name:<{width}}" + "".join(f"{v:11.1f}" if isinstance(v, float) else f"{v:11d}" for v in counts.row())
        )
    return "\n".join(lines)


def main() -> int:
    """Run the command line; the result is the exit status."""
    parser = argparse.ArgumentParser(description="Measure how the source text reads.")
    parser.add_argument("below", nargs="*", default=["ganzoo/", "plugins/"], help="paths to measure, from the checkout")
    parser.add_argument(
        "--root", type=Path, default=Path(__file__).resolve().parents[1], help="the checkout to measure"
    )
    parser.add_argument("--files", action="store_true", help="show a row for every file, not only for every folder")
    parser.add_argument("--show", metavar="FILE", help="show the hits of one file or folder")
    parser.add_argument("--check", action="store_true", help="fail where a limit is exceeded")
    options = parser.parse_args()
    counts = measure(options.root)
    if options.show:
        kinds = ("pro_forms", "semicolons", "undocumented", "anys", "setattrs", "ignores")
        for name, found in counts.items():
            if name.startswith(options.show):
                hits = [(hit.line, kind.replace("_", "-"), hit.what) for kind in kinds for hit in getattr(found, kind)]
                for line, kind, what in sorted(hits):
                    print(f"{name}:{line}: {kind}: {what}")
        return 0
    if options.check:
        problems = list(broken_limits(counts))
        print("\n".join(problems) or "The source text keeps all limits.")
        return bool(problems)
    chosen = {name: c for name, c in counts.items() if name.startswith(tuple(options.below))}
    rows = dict(chosen) if options.files else {}
    for folder in dict.fromkeys(name.rpartition("/")[0] for name in chosen):
        rows[folder + "/"] = sum((c for name, c in chosen.items() if name.rpartition("/")[0] == folder), Counts())
    rows |= {package: total(chosen, package + "/") for package in PACKAGES}
    print(table(rows | {"total": total(chosen, *PACKAGES)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
