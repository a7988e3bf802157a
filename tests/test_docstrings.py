"""One style of docstring: functions begin with an order, properties with a noun, fields have a line under them."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator

from tests.source import FILES, TREES

# An order does not begin with one of these, nor with a word that ends in "s", "ing" or "ed", nor with "<word> of".
NO_VERBS = {
    *("a", "all", "an", "and", "any", "are", "as", "at", "because", "before", "between", "both", "but", "by"),
    *("each", "either", "every", "everything", "few", "for", "from", "he", "here", "how", "if", "in", "into"),
    *(
        "it",
        "many",
        "more",
        "most",
        "much",
        "neither",
        "no",
        "none",
        "not",
        "nothing",
        "of",
        "on",
        "one",
        "only",
    ),
    *(
        "or",
        "our",
        "out",
        "over",
        "same",
        "she",
        "so",
        "some",
        "such",
        "than",
        "that",
        "the",
        "their",
        "then",
    ),
    *(
        "there",
        "these",
        "they",
        "those",
        "to",
        "two",
        "under",
        "up",
        "we",
        "what",
        "when",
        "where",
        "whether",
    ),
    *("which", "while", "who", "whose", "why", "with", "within", "without", "you", "your"),
}
VERBS_ALL_THE_SAME = {
    *(
        "address",
        "bring",
        "compress",
        "cross",
        "discuss",
        "embed",
        "express",
        "feed",
        "focus",
        "guess",
        "miss",
    ),
    *("need", "pass", "press", "process", "seed", "shed", "string", "suppress", "witness"),
}
NO_NOUNS = {"compute", "get", "give", "return", "tell", "yield"}

ROUTES = ("get", "post", "put", "delete", "websocket", "command", "callback")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def documented() -> Iterator[tuple[str, Function | ast.ClassDef, str]]:
    """Yield every function and class under its whole name, with its docstring."""
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, Function | ast.ClassDef) and (text := ast.get_docstring(node)):
                yield f"{module}.{node.name}", node, text


def is_order(sentence: str) -> bool:
    """Return whether a sentence begins with a verb in the imperative, as far as its first two words show."""
    word, _, rest = sentence.partition(" ")
    word = word.lower().rstrip(",:;")
    if word in NO_VERBS or not word.isalpha() or rest.startswith("of "):
        return False
    return word in VERBS_ALL_THE_SAME or not word.endswith(("s", "ing", "ed"))


def is_property(node: Function) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


def is_shown_to_users(node: Function) -> bool:
    """Return whether a docstring is a route's or a command's, which users read as a description."""
    calls = [decorator.func for decorator in node.decorator_list if isinstance(decorator, ast.Call)]
    return any(isinstance(call, ast.Attribute) and call.attr in ROUTES for call in calls)


def test_functions_begin_with_an_order_and_properties_with_a_noun() -> None:
    wrong = []
    for name, node, text in documented():
        first = text.splitlines()[0]
        if isinstance(node, ast.ClassDef) or is_shown_to_users(node):
            continue
        right = first.split()[0].lower() not in NO_NOUNS if is_property(node) else is_order(first)
        if not right:
            wrong.append(f"{name}: {first}")
    assert wrong == [], "\n".join(wrong)


def test_first_lines_end_with_a_period() -> None:
    assert [name for name, _, text in documented() if not text.splitlines()[0].endswith(".")] == []


def test_fields_are_documented_by_a_line_under_them() -> None:
    wrong = [name for name, _, text in documented() if re.search("^Attributes:", text, re.MULTILINE)]
    for module in FILES:
        with FILES[module].open("rb") as lines:
            tokens = list(tokenize.tokenize(lines.readline))
        wrong += [f"{module}:{token.start[0]}" for token in tokens if token.string.startswith("#:")]
    assert wrong == [], "neither a section `Attributes:` nor `#:`"


def test_orders_are_told_from_phrases() -> None:
    assert all(map(is_order, ("Return it.", "Begin, or go on.", "Pass it on.", "Embed words.")))
    assert not any(
        map(
            is_order, ("The picture.", "Returns it.", "Number of rows.", "Whether it is.", "`a`, or nothing.")
        )
    )
