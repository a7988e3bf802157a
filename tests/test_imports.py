"""The arrows of ARCHITECTURE.md, checked on every import of the package, those inside functions too."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import allaprima

SOURCE = Path(allaprima.__file__).parent

CONTRACT = {"core", "paint.contract"}
LORA_GROUND = {"core", "paint.lora.update", "paint.lora.pages"}
LORA = {"paint.lora", "paint.lora.files", "paint.lora.runtime", *LORA_GROUND}
PAINT = {
    "paint.device",
    "paint.sampling",
    "paint.bases",
    "paint.memory",
    "paint.pipeline",
    *LORA,
    *CONTRACT,
}
LAB = {"allaprima", "paint.painter", "lab", "lab.scenes", *PAINT}

# Part -> the parts it may import. A module belongs to the longest name of this table that begins its own.
ARROWS = {
    "allaprima": {"core", "paint.painter"},
    "core": set[str](),
    "paint": set[str](),
    "paint.contract": {"core"},
    "paint.device": {"core"},
    "paint.sampling": CONTRACT,
    "paint.lora": LORA - {"paint.lora"},
    "paint.lora.files": LORA_GROUND,
    "paint.lora.runtime": {"paint.device", *LORA_GROUND},
    "paint.lora.update": set(),
    "paint.lora.pages": set(),
    "paint.bases": {"paint.device", "paint.sampling", *CONTRACT},
    "paint.memory": {"paint.bases", "paint.device", *CONTRACT},
    "paint.pipeline": PAINT - {"paint.bases", "paint.pipeline"},
    "paint.painter": PAINT,
    "lab": LAB - {"lab", "lab.scenes"},
    "lab.scenes": LAB - {"lab.scenes"},
    "lab.evaluation": LAB,
    "lab.training": {"lab.evaluation", *LAB},
    "lab.distill": {"lab.evaluation", "lab.training", *LAB},
    "studio": {"core"},
    "studio.engine": {"paint.painter", *PAINT},
    "studio.server": {"core", "studio", "studio.engine", "paint.lora.files"},
    "cli": {
        "lab.evaluation",
        "lab.training",
        "lab.distill",
        "studio",
        "studio.engine",
        "studio.server",
        *LAB,
    },
}


def part_of(module: str) -> str:
    """Return the part that `allaprima.<...>` belongs to."""
    name = module.removeprefix("allaprima").removeprefix(".")
    while name and name not in ARROWS:
        name = name.rpartition(".")[0]
    return name or "allaprima"


def modules() -> dict[str, Path]:
    """Return every module of the package with its file."""
    found = {}
    for file in sorted(SOURCE.rglob("*.py")):
        dotted = ".".join(("allaprima", *file.relative_to(SOURCE).with_suffix("").parts))
        found[dotted.removesuffix(".__init__")] = file
    return found


MODULES = modules()


def imports_of(source: str, module: str, *, is_package: bool) -> set[str]:
    """Return the modules that the source imports anywhere in it, relative imports resolved."""
    found = set()
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            home = ".".join([*above, *([node.module] if node.module else [])])
            # `from a import b` may name a module b of the package a
            names = {f"{home}.{alias.name}" for alias in node.names if alias.name != "__version__"}
            found |= {name if name in MODULES else home for name in names}
    return found


def upward(module: str, imported: set[str]) -> list[str]:
    """Return the imports that the module's part may not have."""
    own = part_of(module)
    ours = {name for name in imported if name.split(".")[0] == "allaprima"}
    return sorted(name for name in ours if part_of(name) != own and part_of(name) not in ARROWS[own])


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    file = MODULES[module]
    imported = imports_of(file.read_text(encoding="utf-8"), module, is_package=file.name == "__init__.py")
    assert upward(module, imported) == [], f"{module} may import only {sorted(ARROWS[part_of(module)])}"


@pytest.mark.parametrize("module", [name for name in MODULES if part_of(name) == "core"])
def test_core_names_no_heavy_library(module: str) -> None:
    file = MODULES[module]
    imported = imports_of(file.read_text(encoding="utf-8"), module, is_package=file.name == "__init__.py")
    assert not {name.split(".")[0] for name in imported} & {"torch", "diffusers", "transformers"}


def test_every_folder_is_a_part_with_a_docstring() -> None:
    for file in SOURCE.rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))), f"{file} says nothing"
    assert part_of("allaprima.paint.bases.vignette.base") == "paint.bases"
    assert part_of("allaprima.lab.scenes.people") == "lab.scenes"


def test_the_walk_sees_imports_inside_functions_and_relative_ones() -> None:
    source = "def f():\n    from ..lab.scenes import spec\n    import allaprima.cli.app\n"
    imported = imports_of(source, "allaprima.paint.painter", is_package=False)
    assert imported == {"allaprima.lab.scenes.spec", "allaprima.cli.app"}
    assert upward("allaprima.paint.painter", imported) == sorted(imported)


def loaded_after(statement: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after the statement."""
    code = f"{statement}\nimport sys\nprint(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def test_importing_the_package_its_core_or_its_command_loads_no_torch() -> None:
    names = [name for name in MODULES if part_of(name) == "core"]
    loaded = loaded_after(f"import allaprima, allaprima.cli.app, {', '.join(names)}")
    assert not loaded & {"torch", "diffusers", "transformers", "numpy"}


def test_public_names_are_these() -> None:
    assert set(dir(allaprima)) == set(allaprima.__all__)
    for name in allaprima.__all__:
        assert getattr(allaprima, name) is not None
    assert allaprima.GenerationRequest.__module__ == "allaprima.core.request"
    assert allaprima.PaintError.__module__ == "allaprima.core.errors"
    with pytest.raises(AttributeError, match="has no attribute 'Panter'"):
        _ = allaprima.Panter  # type: ignore[attr-defined]
