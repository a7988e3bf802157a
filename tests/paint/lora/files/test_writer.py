from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers.loaders.lora_pipeline import QwenImageLoraLoaderMixin
from peft import PeftModel
from safetensors.torch import load_file
from tests import tiny_loras
from tests.paint.lora.files.samples import (
    FAMILIES,
    LINEAR,
    random,
    same_updates,
    through_diffusers,
)
from tests.tiny_loras import (
    ATTENTION,
    changed,
    deltas_of,
    make_updates,
    qwen_networks,
    sdxl_networks,
    spell,
)

from allaprima.core.errors import LoraError
from allaprima.paint.lora.files.header import read_header
from allaprima.paint.lora.files.lora import Lora
from allaprima.paint.lora.files.metadata import LoraMetadata
from allaprima.paint.lora.files.reader import read_lora
from allaprima.paint.lora.files.writer import write_lora
from allaprima.paint.lora.update import Decomposed, Dense, LowRank, delta_of


@pytest.mark.parametrize("layout", ["diffusers", "kohya"])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_written_reads_back(tmp_path: Path, family: str, layout: str) -> None:
    assert layout in {"diffusers", "kohya"}
    networks = FAMILIES[family]()
    metadata = LoraMetadata(
        family=family, base_hash="ab" * 32, sigmas=(1.0, 0.75, 0.0), schedule="lightning", steps=4, guidance=1.0,
        trigger_words=("fcsks", "fxhks fhyks"), license="Apache-2.0", commit="0123abc",
    )  # fmt: skip
    lora = Lora(name="墨 ink", updates=dict(make_updates(networks, ".", rank=3)), metadata=metadata)
    path = write_lora(tmp_path / "a.safetensors", lora, layout, base_modules=networks)  # type: ignore[arg-type]
    again = read_lora(path, networks, name=lora.name, family=family)
    same_updates(again, {key: update for key, update in lora.updates.items() if isinstance(update, LowRank)})
    assert again.unmatched == ()
    told = {name: getattr(again.metadata, name) for name in metadata.__dataclass_fields__ if name != "raw"}
    assert told == {name: getattr(metadata, name) for name in told}
    raw = again.metadata.raw
    assert raw["ss_network_dim"] == raw["ss_network_alpha"] == "3"
    assert raw["modelspec.title"] == "墨 ink"
    assert raw["modelspec.architecture"].endswith("/lora")
    assert json.loads(raw["allaprima.ranks"]) == {"3": len(lora.updates)}
    second = write_lora(tmp_path / "b.safetensors", again, layout, base_modules=networks)  # type: ignore[arg-type]
    assert load_file(second).keys() == load_file(path).keys()
    assert read_header(second).metadata == raw


def test_kohya_names_sdxl_as_its_scripts_do(tmp_path: Path) -> None:
    updates = make_updates(sdxl_networks(), ATTENTION)
    lora = Lora(name="a", updates=dict(updates))
    path = write_lora(tmp_path / "a.safetensors", lora, "kohya", base_modules=sdxl_networks())
    assert load_file(path).keys() == spell(updates, "kohya, SDXL").keys()
    plain = write_lora(tmp_path / "b.safetensors", lora, "kohya")
    assert load_file(plain).keys() == spell(updates, "kohya").keys()


def test_whole_matrices_have_a_name_in_kohya_alone(tmp_path: Path) -> None:
    lora = Lora(name="whole", updates={LINEAR: Dense(delta=random(16, 16))})
    path = write_lora(tmp_path / "a.safetensors", lora, "kohya", base_modules=sdxl_networks())
    assert torch.equal(delta_of(read_lora(path, sdxl_networks()).updates[LINEAR]), random(16, 16))
    with pytest.raises(LoraError, match="expected layout kohya"):
        write_lora(tmp_path / "b.safetensors", lora)
    assert not (tmp_path / "b.safetensors").exists()


def test_a_shorter_dtype_is_stored_where_asked(tmp_path: Path) -> None:
    updates = make_updates(qwen_networks(), r"0\.attn\.to_q$")
    path = write_lora(tmp_path / "a.safetensors", Lora(name="a", updates=dict(updates)), dtype=torch.bfloat16)
    (update,) = read_lora(path, qwen_networks()).updates.values()
    assert isinstance(update, LowRank)
    assert update.down.dtype == update.up.dtype == torch.bfloat16


def test_diffusers_reads_what_is_written(tmp_path: Path) -> None:
    networks = qwen_networks()
    updates = {**make_updates(networks, r"to_q$", rank=4), **make_updates(networks, r"to_k$", rank=2)}
    path = write_lora(tmp_path / "a.safetensors", Lora(name="a", updates=dict(updates)))
    with torch.inference_mode():
        ours = tiny_loras.run_qwen(changed(networks, deltas_of(updates)))
        theirs = tiny_loras.run_qwen(through_diffusers(QwenImageLoraLoaderMixin, networks, load_file(path)))
    assert torch.allclose(ours, theirs, atol=2e-5, rtol=1e-4)
    assert not isinstance(networks["transformer"], PeftModel)


def test_what_has_no_place_in_a_layout_is_refused(tmp_path: Path) -> None:
    change = LowRank(down=torch.ones(1, 4), up=torch.ones(4, 1))
    dora = Decomposed(change=change, magnitude=torch.ones(4), axis=0)
    for lora in (
        Lora(name="ink", updates={"unet.conv": dora}),
        Lora(name="ink", updates={"unet.conv": change}, vectors={"unet.conv.bias": torch.ones(4)}),
    ):
        with pytest.raises(LoraError, match="ink holds a DoRA, or changes biases or norms"):
            write_lora(tmp_path / "ink.safetensors", lora)
