from __future__ import annotations

import yaml

from allaprima.studio.cluster.serve_config import serve_config, yaml_text


def test_the_file_says_how_many_replicas_and_what_each_has() -> None:
    config = serve_config(
        {"studio": "10.0.0.1:7870", "base": ["画.safetensors"]}, replicas=4, gpus=0.5, cpus=2
    )
    read = yaml.safe_load(yaml_text(config))
    assert read == config
    (application,) = read["applications"]
    assert application["args"] == {"studio": "10.0.0.1:7870", "base": ["画.safetensors"]}
    (deployment,) = application["deployments"]
    assert deployment["num_replicas"] == 4
    assert deployment["ray_actor_options"] == {"num_cpus": 2, "num_gpus": 0.5}
    assert read["proxy_location"] == "Disabled"
