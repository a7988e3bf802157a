"""Functions that only tests call are listed here, so that dead code shows at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.source import ROOT, TREES

# Called by a library, by name, or part of what users may call; the reason stands beside each.
CALLED_ELSEWHERE = {
    "allaprima.cli.app.list_commands",  # by click
    "allaprima.cli.lora_cards.FolderCards",  # by scripts for 0.1.0
    "allaprima.core.infotext.from_infotext",  # by programs of our users, which read texts without a picture
    "allaprima.core.progress.render",  # by rich
    "allaprima.paint.bases.qwen_image.frames.clear_cache",  # by diffusers
    # By whoever has HyperLoRA's published weights, see docs/concepts/hyperlora.md.
    "allaprima.paint.hyperlora.coefficients.direction_between",
    "allaprima.paint.hyperlora.hypernetwork.base_updates",
    "allaprima.paint.hyperlora.hypernetwork.identity_updates",
    "allaprima.paint.hyperlora.hypernetwork.num_coefficients",
    "allaprima.paint.hyperlora.hypernetwork.num_lora_parameters",
    "allaprima.paint.hyperlora.published.load_published",
    "allaprima.paint.step_cache.first_block.get_state",  # by diffusers
    "allaprima.studio.cluster.link.find_class",  # by pickle
    "allaprima.studio.cluster.link.reducer_override",  # by pickle
    "allaprima.studio.cluster.serve_deployment.check_health",  # by Ray Serve
    "allaprima.studio.server.transport.eof_received",  # by asyncio
}
HARMLESS = {
    "property",
    "staticmethod",
    "classmethod",
    "cache",
    "contextmanager",
    "no_grad",
    "dataclass",
    "override",
}


def definitions() -> Iterator[tuple[str, str]]:
    """Yield module and name of each public function, method and class whom no decorator hands to a library."""
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                and node.name[0] != "_"
            ):
                decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
                if all(any(word in decorator for word in HARMLESS) for decorator in decorators):
                    yield module, node.name


def used_names(tree: ast.AST) -> Iterator[str]:
    """Yield every name that code reads: variables, attributes, and names in strings (`getattr`, `__all__`)."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield name
            case ast.Constant(value=str() as text) if text.isidentifier():
                yield text
            case ast.keyword(arg=str() as name):
                yield name


def test_every_function_is_used_outside_the_tests() -> None:
    trees = [*TREES.values(), *(ast.parse(file.read_text(encoding="utf-8")) for file in benchmarks())]
    used = {name for tree in trees for name in used_names(tree)}
    dead = {f"{module}.{name}" for module, name in definitions() if name not in used}
    assert dead - CALLED_ELSEWHERE == set(), "remove it, or say in CALLED_ELSEWHERE who calls it"
    assert CALLED_ELSEWHERE - dead == set(), "used now: take it out of CALLED_ELSEWHERE"


def benchmarks() -> list[Path]:
    return sorted((ROOT / "benchmarks").glob("*.py"))
