from __future__ import annotations

from pathlib import Path

import pytest
from tests.paint.lora.files.samples import layer_shape, random
from tests.tiny_loras import (
    save,
    sdxl_networks,
)

from allaprima.paint.lora.files.reader import read_lora


@pytest.mark.parametrize(
    ("theirs", "ours"),
    {
        "input_blocks_0_0": "conv_in",
        "input_blocks_1_0_in_layers_2": "down_blocks.0.resnets.0.conv1",
        "input_blocks_2_0_emb_layers_1": "down_blocks.0.resnets.1.time_emb_proj",
        "input_blocks_3_0_op": "down_blocks.0.downsamplers.0.conv",
        "input_blocks_4_0_skip_connection": "down_blocks.1.resnets.0.conv_shortcut",
        "input_blocks_5_1_proj_out": "down_blocks.1.attentions.1.proj_out",
        "input_blocks_8_1_transformer_blocks_1_ff_net_0_proj": (
            "down_blocks.2.attentions.1.transformer_blocks.1.ff.net.0.proj"
        ),
        "middle_block_0_out_layers_3": "mid_block.resnets.0.conv2",
        "middle_block_1_proj_in": "mid_block.attentions.0.proj_in",
        "middle_block_2_in_layers_2": "mid_block.resnets.1.conv1",
        "output_blocks_2_2_conv": "up_blocks.0.upsamplers.0.conv",
        "output_blocks_5_2_conv": "up_blocks.1.upsamplers.0.conv",
        "output_blocks_5_1_proj_in": "up_blocks.1.attentions.2.proj_in",
        "output_blocks_8_0_skip_connection": "up_blocks.2.resnets.2.conv_shortcut",
        "label_emb_0_0": "add_embedding.linear_1",
        "time_embed_2": "time_embedding.linear_2",
        "out_2": "conv_out",
    }.items(),
)
def test_names_of_stabilitys_own_unet(tmp_path: Path, theirs: str, ours: str) -> None:
    shape = layer_shape(f"unet.{ours}")
    halves = {
        f"lora_unet_{theirs}.lora_down.weight": random(2, *shape[1:]),
        f"lora_unet_{theirs}.lora_up.weight": random(shape[0], 2, *(1 for _ in shape[2:])),
    }
    lora = read_lora(save(tmp_path / "a.safetensors", halves), sdxl_networks())
    assert list(lora.updates) == [f"unet.{ours}"]
