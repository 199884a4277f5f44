"""Read summary, parameters and choices of a part from the source text. No module is imported.

Base classes and aliases such as ``Norm = Literal["none", "batch"]`` are followed within the module and through its
``from`` imports, up to the contracts of ganzoo.
"""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec

from ganzoo.names import printable

_DEPTH = 8  # how far names are followed: real class hierarchies are shallower, and circular imports must end


@dataclass(frozen=True)
class PeekedParameter:
    """A parameter of a part, as written in the source.

    Args:
        name: the name of the parameter.
        default: the default as text. None where the parameter must be given.
        choices: the values of a ``Literal`` or ``bool``. Empty for other types.
        contracts: the names in the annotation, of which one is a contract where the parameter takes a part.
    """

    name: str
    default: str | None
    choices: tuple[str, ...] = ()
    contracts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Peek:
    """The facts about a part that the source shows. All are empty where no source can be read.

    Args:
        summary: the first line of the docstring.
        parameters: the parameters, in the order of the dataclass.
        facts: constants of the class by name, such as ``bounded``.
    """

    summary: str = ""
    parameters: tuple[PeekedParameter, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)


def peek(where: str, kind: str) -> Peek:
    """Read a part's source.

    Args:
        where: ``module:Class``.
        kind: the kind of part. The parameter ``every`` is listed for a regularizer with a penalty only.

    Returns:
        Summary, parameters and facts. Empty where no source can be read.

    Example:
        >>> peek("ganzoo.nowhere:Part", "loss").parameters
        ()
    """
    module, _, path = where.partition(":")
    family = list(_family(module, path, _DEPTH))
    if not family:
        return Peek()
    doc = next((doc for _, cls in family if (doc := ast.get_docstring(cls))), "")
    found: dict[str, PeekedParameter] = {}
    methods: set[str] = set()
    facts: dict[str, object] = {}
    for home, cls in reversed(family):  # the order of a dataclass: fields of the most basic class first
        for line in cls.body:
            if isinstance(line, ast.FunctionDef):
                methods.add(line.name)
            if isinstance(line, ast.AnnAssign) and (parameter := _parameter(home, line)):
                found[parameter.name] = parameter
            facts.update(_fact(line))
    if kind == "regularizer":
        every = found.pop("every", PeekedParameter("every", "1"))  # inherited from the contract, and listed last
        if methods & {"discriminator_penalty", "generator_penalty", "joint_penalty"}:
            found["every"] = every
    return Peek(printable(inspect.cleandoc(doc).partition("\n")[0].strip()), tuple(found.values()), facts)


def _family(module: str, path: str, depth: int) -> Iterator[tuple[str, ast.ClassDef]]:
    """List a class and the base classes with the modules, nearest first, as far as source is found."""
    found = _definition(module, path, depth)
    if found is None or not isinstance(found[1], ast.ClassDef):
        return
    home, cls = found[0], found[1]
    yield home, cls
    for base in cls.bases:
        if isinstance(base, ast.Name) and depth > 0:
            yield from _family(home, base.id, depth - 1)


def _definition(module: str, path: str, depth: int) -> tuple[str, ast.ClassDef | ast.expr] | None:
    """Find the module that defines a name, and the definition: a class, or the expression that is assigned."""
    if depth <= 0 or module == "ganzoo" or module.startswith("ganzoo."):
        return None  # the contracts add no parameters of their own
    name, _, rest = path.partition(".")
    for line in _unfolded(_statements(module)):
        match line:
            case ast.ClassDef(name=found, body=body) if found == name:
                inner = [c for c in body if isinstance(c, ast.ClassDef) and c.name == rest]
                return (module, line) if not rest else (module, inner[0]) if inner else None
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                return module, value
            case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value) if found == name:
                return module, value
            case ast.ImportFrom(names=names):
                for alias in names:
                    if (alias.asname or alias.name) == name:
                        there = f"{alias.name}.{rest}" if rest else alias.name
                        return _definition(_absolute(module, line), there, depth - 1)
    return None


def _unfolded(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """List the statements of a module, with the statements under ``if`` and ``try``."""
    for line in body:
        yield line
        if isinstance(line, (ast.If, ast.Try)):
            yield from _unfolded(line.body)


def _absolute(module: str, line: ast.ImportFrom) -> str:
    if not line.level:
        return line.module or ""
    spec = _spec(module)
    package = module if spec is not None and spec.submodule_search_locations is not None else module.rpartition(".")[0]
    for _ in range(line.level - 1):
        package = package.rpartition(".")[0]
    return ".".join(filter(None, [package, line.module]))


def _parameter(module: str, line: ast.AnnAssign) -> PeekedParameter | None:
    if not isinstance(line.target, ast.Name) or "ClassVar" in ast.unparse(line.annotation):
        return None
    default = ast.unparse(line.value) if line.value is not None else None
    if isinstance(line.value, ast.Call) and ast.unparse(line.value.func).rpartition(".")[2] == "field":
        given = {word.arg: word.value for word in line.value.keywords}
        if "default" in given:
            default = ast.unparse(given["default"])
        elif "default_factory" in given:
            made = given["default_factory"]
            default = ast.unparse(made.body) if isinstance(made, ast.Lambda) else f"{ast.unparse(made)}()"
        else:
            default = None
    elif isinstance(line.value, ast.Constant) and isinstance(line.value.value, str):
        default = line.value.value
    choices = tuple(dict.fromkeys(_choices(module, line.annotation, _DEPTH)))
    return PeekedParameter(line.target.id, default, choices, tuple(_names(line.annotation)))


def _fact(line: ast.stmt) -> dict[str, object]:
    """Read a constant of a class: ``bounded = False`` or ``bounded: ClassVar[bool] = False``."""
    match line:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)):
            return {name: value}
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.Constant(value=value)):
            return {name: value} if "ClassVar" in ast.unparse(annotation) else {}
    return {}


def _choices(module: str, annotation: ast.expr, depth: int) -> Iterator[str]:
    """List the values of ``bool``, ``Literal[...]``, ``Literal[...] | None``, also in ``Annotated`` or in an alias."""
    match annotation:
        case ast.Constant(value=str() as quoted) if depth > 0:
            yield from _choices(module, ast.parse(quoted, mode="eval").body, depth - 1)
        case ast.Name(id="bool"):
            yield from ("true", "false")
        case ast.Constant(value=None):
            yield "none"
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            sides = [list(_choices(module, side, depth)) for side in (left, right)]
            if all(sides):  # for `float | None` the only choice would be "none", which misleads
                yield from (*sides[0], *sides[1])
        case ast.Subscript(value=head, slice=inside):
            spoken = ast.unparse(head).rpartition(".")[2]
            items = inside.elts if isinstance(inside, ast.Tuple) else [inside]
            if spoken == "Literal":
                yield from (str(item.value) for item in items if isinstance(item, ast.Constant))
            elif spoken in ("Annotated", "Optional"):
                yield from _choices(module, items[0], depth)
        case ast.Name(id=name) if depth > 0:
            found = _definition(module, name, depth)
            if found is not None and not isinstance(found[1], ast.ClassDef):
                yield from _choices(found[0], found[1], depth - 1)


def _names(annotation: ast.expr) -> Iterator[str]:
    """List the class names of an annotation: ``Architecture`` for ``ganzoo.Architecture | None``."""
    match annotation:
        case ast.Constant(value=str() as quoted):
            yield from _names(ast.parse(quoted, mode="eval").body)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            yield from (*_names(left), *_names(right))
        case ast.Name(id=name) | ast.Attribute(attr=name):
            if name[:1].isupper():  # `float` and other types of numbers and text are no parts
                yield name


def _statements(module: str) -> list[ast.stmt]:
    """Parse a module. The list of statements is empty where no source can be read."""
    loader = getattr(_spec(module), "loader", None)
    try:
        return _parsed(loader.get_source(module) or "") if isinstance(loader, InspectLoader) else []
    except (ImportError, OSError, SyntaxError, ValueError):
        return []


@cache
def _parsed(source: str) -> list[ast.stmt]:
    return ast.parse(source).body


def _spec(module: str) -> ModuleSpec | None:
    """Find a module without importing the packages above. ``importlib.util.find_spec`` would run ``__init__`` files."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
        name = top
        for step in rest:
            if spec is None or spec.submodule_search_locations is None:
                return None
            name = f"{name}.{step}"
            spec = importlib.machinery.PathFinder.find_spec(name, spec.submodule_search_locations)
    except (AttributeError, ImportError, ValueError):
        return None
    return spec
