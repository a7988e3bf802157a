"""The package as syntax trees, for the tests that read it: modules, their names, and what classes have."""

from __future__ import annotations

import ast
from pathlib import Path

import allaprima

ROOT = Path(__file__).parents[1]
SOURCE = Path(allaprima.__file__).parent


def _module_of(file: Path) -> str:
    parts = ("allaprima", *file.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


FILES = {_module_of(file): file for file in sorted(SOURCE.rglob("*.py"))}
"""Every module of the package with its file."""
TREES = {module: ast.parse(file.read_text(encoding="utf-8")) for module, file in FILES.items()}

CLASSES = {
    node.name: node for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
}
"""Every class by its name, which no two public classes share (test_names.py)."""


def names_of(node: ast.stmt) -> set[str]:
    """Return the names that a statement of a module or class body binds."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return {node.name}
        case ast.Import() | ast.ImportFrom():
            return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        case ast.Assign():
            return {
                name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)
            }
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
        case ast.If() | ast.Try():
            return set().union(*map(names_of, (*node.body, *node.orelse)))
    return set()


def own_members(node: ast.ClassDef) -> set[str]:
    """Return what a class body binds, and what its methods set on `self`."""
    stored = {
        part.attr
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store)
    }
    return stored.union(*map(names_of, node.body))


def members_of(name: str) -> set[str] | None:
    """Return what instances of a class of ours have by its source, or None where a base is not ours."""
    members = own_members(CLASSES[name])
    for base in CLASSES[name].bases:
        base_name = ast.unparse(base).split("[")[0].split(".")[-1]
        inherited = set[str]() if base_name in ("Protocol", "Generic") else None
        if base_name in CLASSES and base_name != name:
            inherited = members_of(base_name)
        if inherited is None:
            return None
        members |= inherited
    return members


def module_names(module: str) -> set[str]:
    """Return the names at the top of a module, those of a package's modules among them."""
    children = {
        name.removeprefix(f"{module}.").split(".")[0] for name in FILES if name.startswith(f"{module}.")
    }
    return set().union(children, *map(names_of, TREES[module].body))
