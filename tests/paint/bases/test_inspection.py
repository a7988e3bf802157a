from __future__ import annotations

from pathlib import Path

import pytest
from tests.tiny_files import make_split_pipeline, write_names, write_split

from allaprima.core.errors import RequestError
from allaprima.paint.bases.inspection import inspect_file


def test_the_parts_of_a_split_base_are_told(tmp_path: Path) -> None:
    files = write_split(tmp_path, make_split_pipeline(), "Q4_K")
    main = inspect_file(files["transformer"])
    assert (main.kind, main.families, main.missing, main.refusal) == ("transformer", ("qwen-image",), (), "")
    assert main.quantization.startswith("GGUF Q4_K")
    assert main.parts == {"text encoder": str(files["text_encoder"]), "autoencoder (VAE)": str(files["vae"])}
    assert main.num_bytes == files["transformer"].stat().st_size
    assert main.to_json()["paints"]
    text = inspect_file(Path("tiny_vl"), [tmp_path])
    assert (text.kind, text.name, text.parts) == ("text encoder", "Qwen2.5-VL 7B", {})
    files["vae"].unlink()
    lacking = inspect_file(files["transformer"])
    assert "comes without Qwen-Image's autoencoder" in lacking.missing[0]
    assert not lacking.to_json()["paints"]


@pytest.mark.parametrize(
    ("layout", "told"),
    [("fp8", "fp8"), ("scale_weight", "fp8 scaled"), ("int8", "int8 scaled"), ("bf16", "bf16")],
)
def test_the_quantisation_is_told(layout: str, told: str, tmp_path: Path) -> None:
    files = write_split(tmp_path, make_split_pipeline(), layout)  # type: ignore[arg-type]
    assert inspect_file(files["transformer"]).quantization == told


def test_what_nothing_paints_with_is_told_with_the_way_out(tmp_path: Path) -> None:
    lora = inspect_file(write_names(tmp_path / "x", "lora_unet_x.lora_down.weight"))
    assert (lora.kind, lora.refusal) == ("lora", "it is a LoRA, give it with --lora")
    with pytest.raises(RequestError, match="expected a weight file, or the name of one in --models-dir"):
        inspect_file(tmp_path / "nothing")


def test_a_name_means_what_it_means_to_paint_with(tmp_path: Path) -> None:
    for place in ("diffusion_models/a", "diffusion_models/b"):
        write_names(tmp_path / place / "two.safetensors")
    write_names(tmp_path / "diffusion_models" / "one.safetensors")
    write_names(tmp_path / "diffusion_models" / "old" / "one.safetensors")
    write_names(tmp_path / "vae" / "ae.safetensors", "decoder.x")
    write_names(tmp_path / "vae" / "old" / "ae.gguf", "decoder.x")
    for name in ("two", "ae"):
        with pytest.raises(RequestError, match=rf"which may be .*{name}.* or .*{name}.*; expected"):
            inspect_file(Path(name), [tmp_path])
    assert inspect_file(Path("one"), [tmp_path]).path == str(
        tmp_path / "diffusion_models" / "one.safetensors"
    )
    for name in ("x" * 5000, "diffusion_models"):
        with pytest.raises(RequestError, match=r"expected a weight file, or the name of one"):
            inspect_file(Path(name), [tmp_path])
