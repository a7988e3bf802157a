"""What Ray Serve is told about replicas: its own configuration file, without Ray."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

IMPORT_PATH = "allaprima.cli.serve_app:build"
"""Where Ray Serve finds the application."""
DEPLOYMENT = "replica"
HEALTH_PERIOD_S = 5
DRAIN_S = 600
"""For how long a replica that is taken down may finish its job."""


def serve_config(arguments: Mapping[str, Any], *, replicas: int, gpus: float, cpus: float) -> dict[str, Any]:
    """Return the configuration of `replicas` replicas with so many GPUs and cores each.

    Args:
        arguments: what `IMPORT_PATH` is called with, plain values.
        replicas: how many.
        gpus: of each, perhaps a share of one.
        cpus: of each.
    """
    deployment = {
        "name": DEPLOYMENT,
        "num_replicas": replicas,
        "health_check_period_s": HEALTH_PERIOD_S,
        "graceful_shutdown_timeout_s": DRAIN_S,
        "ray_actor_options": {"num_cpus": cpus, "num_gpus": gpus},
    }
    application = {
        "name": "allaprima",
        "route_prefix": None,
        "import_path": IMPORT_PATH,
        "args": dict(arguments),
        "deployments": [deployment],
    }
    # The studio speaks HTTP; Ray's own proxies would be another door, without a guard.
    return {"proxy_location": "Disabled", "applications": [application]}


def yaml_text(config: Mapping[str, Any]) -> str:
    """Return the configuration as a file's text."""
    text: str = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    return text
