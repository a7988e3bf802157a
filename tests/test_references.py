"""What docstrings and documents name is there: modules, functions, attributes, files."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator

from tests.source import CLASSES, FILES, ROOT, TREES, members_of, module_names, own_members

# Files of other projects, and the one that there is not.
NOT_OURS = {"utils.py", "modules/infotext_utils.py", "modules/api/models.py"}
# A line such as `x = f(...)`, `f(...)` or `from a import b` makes an indented block an example in Python.
PYTHON = re.compile(
    r"^(?:>>> )?(?:(?:\w+(?:, \w+)* = )?[A-Za-z_][\w.]*\(|from \w[\w.]* import |import \w)", re.MULTILINE
)


def examples(text: str) -> Iterator[str]:
    """Yield the blocks of Python among the blocks that are indented by four spaces or more."""
    for block in re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", text + "\n", flags=re.MULTILINE):
        code = textwrap.dedent(block)
        if PYTHON.search(code):
            yield code


def missing_from(code: str) -> list[str]:
    """Return the attributes that an example asks of classes of ours and that these do not have.

    A variable holds what its name says (`store` is a `Store`), unless `x = Class(...)` says something else.
    """
    tree = ast.parse(code)
    class_of = {name: name for name in CLASSES} | {name.lower(): name for name in CLASSES}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            called = ast.unparse(node.value.func)
            for target in node.targets:
                class_of.pop(ast.unparse(target), None)
                if called in CLASSES:
                    class_of[ast.unparse(target)] = called
    missing = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (owner := class_of.get(ast.unparse(node.value))):
            members = members_of(owner)
            if members is not None and node.attr not in members:
                missing.append(ast.unparse(node))
    return missing


def is_there(path: str, module: str) -> bool:
    """Return whether a dotted path leads somewhere, from the top of the package or from inside a module."""
    if path.split(".")[0] == "allaprima":
        module = path
        while module not in FILES:
            module = module.rpartition(".")[0]
        path = path.removeprefix(module).strip(".")
    first, *rest = path.split(".")
    classes = [node for node in ast.walk(TREES[module]) if isinstance(node, ast.ClassDef)]
    if first and first not in module_names(module) and not (rest and first in CLASSES):
        return not rest and any(first in own_members(node) for node in classes)
    members = members_of(first) if rest and first in CLASSES else None
    return members is None or rest[0] in members


def test_examples_of_modules_parse_and_ask_for_what_is_there() -> None:
    wrong = {}
    for module in sorted(FILES):
        for code in examples(ast.get_docstring(TREES[module]) or ""):
            try:
                missing = missing_from(code)
            except SyntaxError as error:
                missing = [str(error)]
            if missing:
                wrong[module] = missing
    assert wrong == {}


def test_references_resolve() -> None:
    wrong = []
    for module in sorted(FILES):
        text = FILES[module].read_text(encoding="utf-8")
        named = re.findall(r":(?:func|class|mod|meth|attr|data|exc):`~?([\w.]+)`", text)
        named += re.findall(r"`(allaprima(?:\.\w+)+)`", text)
        named += [path for path in re.findall(r"`([A-Z]\w+\.\w+)`", text) if path.split(".")[0] in CLASSES]
        wrong += [f"{module}: {path}" for path in named if not is_there(path, module)]
    assert wrong == []


def test_files_named_in_docstrings_and_documents_exist() -> None:
    folders = [ROOT / name for name in ("src", "tests", "benchmarks")]
    paths = [f"/{file.relative_to(ROOT).as_posix()}" for folder in folders for file in folder.rglob("*.*")]
    sources = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(FILES[name] for name in FILES),
    ]
    wrong = []
    for source in sources:
        named = set(re.findall(r"`((?:\w+/)*\w+\.(?:py|js))`", source.read_text(encoding="utf-8")))
        missing = [name for name in named - NOT_OURS if not any(path.endswith(f"/{name}") for path in paths)]
        wrong += [f"{source.name}: {name}" for name in missing]
    assert wrong == []


def test_a_drifted_example_is_seen() -> None:
    text = "Say so.\n\n    store = SceneStore(folder)\n    store.pictures[0]\n\nWhere:\n\n    y = W x + b\n"
    (code,) = examples(text)
    assert missing_from(code) == ["store.pictures"]
    assert is_there("SceneStore.images", "allaprima.lab.training.scenes")
    assert not is_there("SceneStore.pictures", "allaprima.lab.training.scenes")
    assert is_there("allaprima.lab.training.loop.train", "allaprima")
    assert not is_there("allaprima.lab.training.loop.walk", "allaprima")
