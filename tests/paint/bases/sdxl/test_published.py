from __future__ import annotations

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from allaprima.paint.bases.sdxl import published
from allaprima.paint.bases.sdxl.published import clip_tokenizers


def test_the_published_configurations_have_the_published_sizes() -> None:
    with torch.device("meta"):
        counts = [
            sum(weight.numel() for weight in network.parameters())
            for network in (
                UNet2DConditionModel.from_config(dict(published.UNET)),
                AutoencoderKL.from_config(dict(published.AUTOENCODER)),
                CLIPTextModel(CLIPTextConfig(**published.TEXT_ENCODER)),
                CLIPTextModelWithProjection(CLIPTextConfig(**published.TEXT_ENCODER_2)),
            )
        ]
    assert counts == [2_567_463_684, 83_653_863, 123_060_480, 694_659_840]


def test_the_vocabulary_that_ships_is_clips() -> None:
    first, second = clip_tokenizers()
    assert len(first) == 49408
    # The ids that CLIP's own tokenizer is documented with.
    assert first("a photo of a cat")["input_ids"] == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert first("Hello, WORLD!")["input_ids"] == [49406, 3306, 267, 1002, 256, 49407]
    assert first("", padding="max_length", max_length=4)["input_ids"] == [49406, 49407, 49407, 49407]
    assert second("", padding="max_length", max_length=4)["input_ids"] == [49406, 49407, 0, 0]
