"""One word for one thing: public classes and aliases have one meaning, and files are called by nouns."""

from __future__ import annotations

import ast
from collections import defaultdict

from tests.source import FILES, TREES

# Words that say no thing: where, when or how something is, or what was done to it.
NO_NOUNS = {
    *("about", "above", "across", "after", "again", "along", "around", "before", "behind", "below", "beside"),
    *(
        "between",
        "beyond",
        "by",
        "down",
        "for",
        "from",
        "in",
        "inside",
        "into",
        "of",
        "off",
        "on",
        "out",
        "outside",
    ),
    *("over", "then", "through", "to", "toward", "under", "up", "upon", "with", "within", "without"),
    *("common", "helpers", "misc", "other", "shared", "stuff", "things", "tools", "util", "utils", "various"),
    *("done", "fill", "filled", "found", "given", "kept", "made", "taken", "told", "trained", "worn"),
    *("convert", "fetch", "get", "load", "make", "read", "save", "set", "take", "write"),
}
# Two words that together are one.
NOUNS = {"kept_out"}


def test_no_public_class_or_alias_is_defined_in_two_modules() -> None:
    homes = defaultdict(list)
    for module, tree in TREES.items():
        for node in tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            if isinstance(node, ast.ClassDef):
                names = [node.name]
            for name in names:
                if name[0].isupper() and not name.isupper():  # constants may be alike
                    homes[name].append(module)
    assert {name: modules for name, modules in homes.items() if len(modules) > 1} == {}


def test_every_file_is_called_by_a_noun() -> None:
    stems = {file: file.stem for file in FILES.values()}
    assert [
        file for file, stem in stems.items() if stem not in NOUNS and stem.split("_")[-1] in NO_NOUNS
    ] == []
