from __future__ import annotations

import json
from pathlib import Path

from tests.tiny_loras import (
    make_updates,
    save,
    sdxl_networks,
    spell,
)

from allaprima.paint.lora.files.reader import read_lora
from allaprima.paint.lora.update import LowRank


def test_patterns_for_text_encoders_hold_whichever_version_wrote_them(tmp_path: Path) -> None:
    layers = [f"{version}encoder.layers.0.self_attn.q_proj" for version in ("text_model.", "")]
    updates = make_updates(sdxl_networks(), r"attn2\.to_q$|self_attn\.q_proj$", rank=2)
    for pattern in layers + [f"^{layer}" for layer in layers]:
        said = {
            "text_encoder.r": 2,
            "text_encoder.lora_alpha": 2,
            "text_encoder.alpha_pattern": {pattern: 16},
        }
        said |= {key.replace("encoder.", "encoder_2.", 1): value for key, value in said.items()}
        path = save(
            tmp_path / "a.safetensors",
            spell(updates, "diffusers"),
            {"lora_adapter_metadata": json.dumps(said)},
        )
        lora = read_lora(path, sdxl_networks())
        assert lora.unmatched == ()
        for key, update in lora.updates.items():
            assert isinstance(update, LowRank)
            assert update.scale == (8 if "layers.0.self_attn" in key else 1), (pattern, key)


def test_patterns_that_match_no_layer_are_named(tmp_path: Path) -> None:
    patterns = {"to_q": 16, "attn7.to_q": 4, r".*\.99\..*": 4, "self_attn.q_proj": 2}
    config = json.dumps({"r": 2, "lora_alpha": 2, "alpha_pattern": patterns, "rank_pattern": {"to_x": 3}})
    updates = make_updates(sdxl_networks(), r"attn2\.to_q$", rank=2)
    path = save(tmp_path / "a.safetensors", spell(updates, "diffusers"), {"adapter_config": config})
    assert read_lora(path, sdxl_networks()).unmatched == (
        "alpha_pattern attn7.to_q",
        r"alpha_pattern .*\.99\..*",
        "rank_pattern to_x",
    )
