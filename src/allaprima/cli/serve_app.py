"""What Ray Serve calls by the file that `prima cluster deploy` wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from allaprima.cli.cluster import plan_of
from allaprima.cli.loader_options import LoaderOptions
from allaprima.core.errors import UserError

_PATHS = frozenset({"weights", "lora_dir"})


def build(arguments: Mapping[str, Any]) -> Any:
    """Return the application of Ray Serve.

    Args:
        arguments: `studio`, the address at which replicas join, and options of `prima cluster join` by their names.

    Raises:
        UserError: there is no such option, or its value is wrong.
    """
    from allaprima.studio.cluster.meeting_point import parse_address
    from allaprima.studio.cluster.serve_deployment import bind_replica

    given = dict(arguments)
    host, port = parse_address(str(given.pop("studio", "")))
    known = LoaderOptions.__dataclass_fields__
    if unknown := sorted(set(given) - set(known)):
        raise UserError(f"got the argument {unknown[0]!r}; expected studio, {', '.join(known)}")
    paths = {name: Path(given[name]) for name in _PATHS & set(given)}
    folders = {"models_dir": [Path(each) for each in given["models_dir"]]} if "models_dir" in given else {}
    return bind_replica(plan_of(LoaderOptions(**{**given, **paths, **folders}).makers()), host, port)
