from __future__ import annotations

from pathlib import Path

import pytest

from allaprima.core.errors import RequestError
from allaprima.paint.bases.hub import find_cached, is_hub_id
from allaprima.paint.bases.loading import Located, locate
from allaprima.paint.bases.sdxl.traits import TRAITS


def cache(hub: Path, hub_id: str) -> Path:
    """Lay a model into the cache as huggingface_hub does."""
    home = hub / f"models--{hub_id.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text("0" * 40)
    snapshot = home / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "model_index.json").write_text('{"_class_name": "StableDiffusionXLPipeline"}')
    return snapshot


def test_an_id_is_an_owner_and_a_name() -> None:
    assert is_hub_id("Qwen/Qwen-Image-2512")
    assert not any(map(is_hub_id, ("sd_xl", "a/b/c", "../b", "a/..", "a b/c", "")))


def test_a_model_in_the_hubs_cache_is_found_by_its_id(hub: Path) -> None:
    snapshot = cache(hub, "stabilityai/sdxl-turbo")
    assert find_cached("stabilityai/sdxl-turbo") == snapshot
    assert locate("stabilityai/sdxl-turbo") == Located(
        name="stabilityai/sdxl-turbo", traits=TRAITS, path=snapshot
    )
    with pytest.raises(RequestError, match=r"which `prima pull Qwen/Qwen-Image` fetches$"):
        locate("Qwen/Qwen-Image")


def test_a_folder_of_models_may_be_a_hubs_cache(tmp_path: Path, hub: Path) -> None:
    del hub
    snapshot = cache(tmp_path / "elsewhere", "tiny/xl")
    assert locate("tiny/xl", [tmp_path / "elsewhere"]).path == snapshot


def test_an_index_alone_hides_no_model_behind_it(hub: Path) -> None:
    looked_at = cache(hub, "tiny/xl")
    whole = looked_at.with_name("1" * 40)
    (whole / "unet").mkdir(parents=True)
    (whole / "unet" / "model.safetensors").touch()
    (whole / "model_index.json").write_text((looked_at / "model_index.json").read_text())
    assert find_cached("tiny/xl") == whole
