"""The arrows of ARCHITECTURE.md, checked on every import of the package, those inside functions too."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter

import pytest
from tests.source import FILES, TREES

import allaprima

CONTRACT = {"core", "paint.contract"}
LORA_GROUND = {"core", "paint.lora.update", "paint.lora.pages"}
LORA = {"paint.lora", "paint.lora.files", "paint.lora.runtime", *LORA_GROUND}
PAINT = {
    "paint.device",
    "paint.quantization",
    "paint.sampling",
    "paint.layout",
    "paint.step_cache",
    "paint.bases",
    "paint.memory",
    "paint.pipeline",
    *LORA,
    *CONTRACT,
}
LAB = {"allaprima", "paint.painter", "paint.retouch", "lab", "lab.scenes", *PAINT}

# Part -> the parts it may import. A module belongs to the longest name of this table that begins its own.
ARROWS = {
    "allaprima": {"core", "paint.painter", "paint.retouch"},
    "core": set[str](),
    "paint": set[str](),
    "paint.contract": {"core"},
    "paint.device": {"core"},
    "paint.quantization": {"core", "paint.device"},
    "paint.sampling": CONTRACT,
    "paint.layout": {"core"},
    "paint.step_cache": {"paint.device", *CONTRACT},
    "paint.lora": LORA - {"paint.lora"},
    "paint.lora.files": LORA_GROUND,
    "paint.lora.runtime": {"paint.device", "paint.quantization", *LORA_GROUND},
    "paint.lora.update": set(),
    "paint.lora.pages": set(),
    "paint.bases": {"paint.device", "paint.quantization", "paint.sampling", *CONTRACT},
    "paint.hyperlora": {"core", "paint.bases", "paint.lora.update"},
    "paint.memory": {"paint.bases", "paint.device", "paint.quantization", "paint.step_cache", *CONTRACT},
    "paint.pipeline": PAINT - {"paint.bases", "paint.pipeline"},
    "paint.retouch": {"core", "paint.bases", "paint.device", "paint.retouch.upscaler_folder"},
    "paint.retouch.upscaler_folder": {"core"},
    "paint.painter": PAINT,
    "lab": LAB - {"lab", "lab.scenes"},
    "lab.scenes": LAB - {"lab.scenes"},
    "lab.evaluation": LAB,
    "lab.training": {"lab.evaluation", *LAB},
    "lab.distill": {"lab.evaluation", "lab.training", *LAB},
    "lab.lora": {"lab.evaluation", "lab.training", "lab.distill", *LAB},
    "lab.retouch": {"lab.evaluation", "lab.training", *LAB},
    "lab.comparison": {"lab.evaluation", "lab.training", "lab.retouch", *LAB},
    "studio": {"core"},
    "studio.engine": {"paint.painter", "paint.retouch", *PAINT},
    "studio.cluster": {"core", "studio", "studio.engine", "paint.painter"},
    "studio.batch": {"core", "studio", "studio.engine", "paint.painter"},
    "studio.server": {"core", "studio", "studio.engine", "paint.lora.files", "paint.retouch.upscaler_folder"},
    "studio.rating": {"core", "studio.server"},
    "cli": {
        "lab.evaluation",
        "lab.training",
        "lab.distill",
        "lab.lora",
        "lab.retouch",
        "lab.comparison",
        "studio",
        "studio.batch",
        "studio.cluster",
        "studio.engine",
        "studio.server",
        "studio.rating",
        *LAB,
    },
}


def part_of(module: str) -> str:
    """Return the part that `allaprima.<...>` belongs to."""
    name = module.removeprefix("allaprima").removeprefix(".")
    while name and name not in ARROWS:
        name = name.rpartition(".")[0]
    return name or "allaprima"


def imports_of(tree: ast.AST, module: str) -> set[str]:
    """Return the modules that a module imports anywhere in it, relative imports resolved."""
    imported = set()
    is_package = module in FILES and FILES[module].name == "__init__.py"
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            home = ".".join([*above, *([node.module] if node.module else [])])
            # `from a import b` may name a module b of the package a
            names = {f"{home}.{alias.name}" for alias in node.names if alias.name != "__version__"}
            imported |= {name if name in FILES else home for name in names}
    return imported


IMPORTS = {module: imports_of(tree, module) for module, tree in TREES.items()}


def find_cycle(arrows: dict[str, set[str]]) -> list[str] | None:
    """Return names that lead from the first to the last, which is the first again, or None where none do."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return None


def arrows_within(package: str) -> dict[str, set[str]]:
    """Return which of the package's modules and folders imports which other, whatever lies in them."""
    arrows: dict[str, set[str]] = defaultdict(set)
    for module, imported in IMPORTS.items():
        for name in imported:
            if module.startswith(f"{package}.") and name.startswith(f"{package}."):
                child, target = (path.removeprefix(f"{package}.").split(".")[0] for path in (module, name))
                arrows[child] |= {target} - {child}
    return arrows


def upward(module: str, imported: set[str]) -> list[str]:
    """Return the imports that the module's part may not have."""
    own = part_of(module)
    ours = {name for name in imported if name.split(".")[0] == "allaprima"}
    return sorted(name for name in ours if part_of(name) != own and part_of(name) not in ARROWS[own])


def test_imports_point_down() -> None:
    wrong = {module: upward(module, imported) for module, imported in IMPORTS.items()}
    assert {module: names for module, names in wrong.items() if names} == {}, (
        "ARROWS say what a part may import"
    )


def test_no_folder_or_file_imports_one_that_imports_it() -> None:
    packages = [module for module, file in FILES.items() if file.name == "__init__.py"]
    cycles = {package: find_cycle(arrows_within(package)) for package in packages}
    assert {package: cycle for package, cycle in cycles.items() if cycle} == {}
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert "log" in arrows_within("allaprima.lab.training")["loop"]


def test_core_names_no_heavy_library() -> None:
    core = [IMPORTS[module] for module in FILES if part_of(module) == "core"]
    assert core
    assert not {name.split(".")[0] for name in set().union(*core)} & {"torch", "diffusers", "transformers"}


def test_every_folder_is_a_part_with_a_docstring() -> None:
    for module, file in FILES.items():
        if file.name == "__init__.py":
            assert ast.get_docstring(TREES[module]), f"{file} says nothing"
    assert part_of("allaprima.paint.bases.vignette.base") == "paint.bases"
    assert part_of("allaprima.lab.scenes.people") == "lab.scenes"


def test_the_walk_sees_imports_inside_functions_and_relative_ones() -> None:
    source = "def f():\n    from ..lab.scenes import spec\n    import allaprima.cli.app\n"
    imported = imports_of(ast.parse(source), "allaprima.paint.painter")
    assert imported == {"allaprima.lab.scenes.spec", "allaprima.cli.app"}
    assert upward("allaprima.paint.painter", imported) == sorted(imported)


def loaded_after(statement: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after the statement."""
    code = f"{statement}\nimport sys\nprint(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def test_importing_the_package_its_core_or_its_command_loads_no_torch() -> None:
    names = [name for name in FILES if part_of(name) == "core"]
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
