"""Where a LoRA sits: names are diffusers', and text is where text steers."""

from __future__ import annotations

from tests.lab.distill.tiny import (
    teacher,
)

from allaprima.lab.distill.target_modules import (
    find_target_modules,
    pattern_ranks,
)


def test_text_sites_of_an_mmdit_and_of_a_unet() -> None:
    ends = {
        site.path.split(".", 2)[-1]
        for site in find_target_modules(teacher("qwen-image"), "text")
        if "blocks" in site.path
    }
    assert ends == {
        "attn.add_k_proj",
        "attn.add_v_proj",
        "attn.add_q_proj",
        "attn.to_add_out",
        "txt_mod.1",
        "txt_mlp.net.0.proj",
        "txt_mlp.net.2",
    }
    unet = [site.path for site in find_target_modules(teacher("sdxl"), "text")]
    assert all("attn2" in path or "add_embedding" in path for path in unet)
    assert any(path.endswith("attn2.to_k") for path in unet)
    assert len(find_target_modules(teacher("sdxl"))) > len(unet)
    ours, theirs = (
        [site.path for site in find_target_modules(teacher(one))] for one in ("vignette", "qwen-image")
    )
    assert sorted(ours) == sorted(theirs)


def test_the_pattern_is_sixteen_eight_and_four() -> None:
    ranks = pattern_ranks(find_target_modules(teacher("sdxl")))
    assert {rank for path, rank in ranks.items() if path.endswith("attn2.to_k")} == {8}
    assert {rank for path, rank in ranks.items() if path.endswith("attn2.to_v")} == {4}
    assert {rank for path, rank in ranks.items() if "add_embedding" in path} == {16}
