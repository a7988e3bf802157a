from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allaprima.core.errors import RequestError
from allaprima.core.infotext import (
    MAX_CHARS,
    ImportedRequest,
    from_infotext,
    import_infotext,
    parse_size,
    split_infotext,
    split_loras,
    to_infotext,
)
from allaprima.core.request import GenerationRequest, LoraUse

SETTINGS = "Steps: 20, Sampler: Euler, CFG scale: 7, Seed: 123, Size: 512x768"
plain_text = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=100)


@given(
    st.builds(
        GenerationRequest,
        prompt=plain_text.filter(lambda text: text.strip() != "")
        | st.sampled_from(["Negative prompt: x", "Steps: 20, Seed: 1, Size: 8x8", '"', "a: b, c"]),
        negative_prompt=plain_text,
        width=st.integers(1, 4096),
        steps=st.integers(1, 1000),
        guidance=st.floats(0, 30),
        seed=st.integers(0, 2**63 - 1),
        base=st.sampled_from(["vignette", "a, b", 'q"uote', "c:\\d"]),
        quality=st.sampled_from(["high", "medium"]),
        schedule=st.none() | st.sampled_from(["lightning", "a, b"]),
        loras=st.sampled_from(
            [(), (LoraUse(name="ink", weight=0.1),), (LoraUse(name="a b"), LoraUse(name="猫"))]
        ),
    ),
    plain_text,
)
def test_a_request_comes_back_and_so_does_what_was_added(request: GenerationRequest, added: str) -> None:
    text = to_infotext(request, {"added": added} if added.strip() else None)
    assert from_infotext(text) == request
    assert split_infotext(text)[2].get("added", "") == (added if added.strip() else "")


def test_the_text_is_what_other_programs_write() -> None:
    request = GenerationRequest(prompt="a cat", negative_prompt="rain", seed=7)
    assert to_infotext(request) == (
        "a cat\nNegative prompt: rain\nSteps: 50, Sampler: Euler, CFG scale: 4.0, Seed: 7, Size: 256x256, "
        "Model: vignette, Quality: high"
    )


def test_a_text_of_another_program_is_read() -> None:
    text = (
        "a cat,\nmasterpiece\nNegative prompt: blurry,\nugly\nSteps: 20, Sampler: DPM++ 2M Karras, "
        "CFG scale: 7, Seed: 1234, Size: 512x768, Model hash: abcdef, Model: sd_xl, "
        'Lora hashes: "a: 1, b: 2", Version: v1.9'
    )
    assert from_infotext(text) == GenerationRequest(
        prompt="a cat, masterpiece", negative_prompt="blurry, ugly", steps=20, guidance=7, seed=1234,
        width=512, height=768, base="sd_xl",
    )  # fmt: skip


def test_loras_are_tags_as_other_programs_write_them() -> None:
    loras = (LoraUse(name="ink", weight=0.8), LoraUse(name="turbo"))
    request = GenerationRequest(prompt="a cat", loras=loras, schedule="lightning")
    prompt, _, settings = to_infotext(request).partition("\n")
    assert prompt == "a cat <lora:ink:0.8> <lora:turbo:1.0>"
    assert settings.endswith(", Schedule: lightning")
    assert split_loras("a cat, <lora:ink:0.8><lora:turbo>, big") == ("a cat,, big", loras)
    assert split_loras("a cat <lyco:ink:0.8>") == ("a cat", (LoraUse(name="ink", weight=0.8),))
    for tag in ("<lora:a:b>", "<lora:a:1:2>", "<lora:>", "<lora:a:99>"):
        with pytest.raises(RequestError, match="expected"):
            split_loras(f"a cat {tag}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "without a line of settings"),
        ("just a comment", "without a line of settings"),
        ("Steps: 20, Seed: 1, Size: 8x8", "without a prompt"),
        ("Negative prompt: rain, Steps: 20, Seed: 1, Size: 8x8\n", "without a prompt"),
        (f"\nNegative prompt: rain\n{SETTINGS}", "without a prompt"),
        ("a cat. Steps: 20, Seed: 1", "without a line of settings"),
        ("we took 300 Steps: 3 of them uphill", "without a line of settings"),
        ("a\x00cat\nSteps: 5, Seed: 1, Size: 8x8", "control character"),
        ("x" * (MAX_CHARS + 1), "expected at most"),
    ],
)
def test_a_text_that_is_no_request_is_refused(text: str, told: str) -> None:
    with pytest.raises(RequestError, match=told):
        from_infotext(text)


WRITTEN = f"a cat,\nin the rain\nNegative prompt: fog\n{SETTINGS}"
READ = GenerationRequest(
    prompt="a cat, in the rain", negative_prompt="fog", steps=20, guidance=7, seed=123, width=512, height=768
)


@pytest.mark.parametrize(
    "text",
    [
        WRITTEN.replace("\n", "\r\n"),
        WRITTEN.replace("\n", "\r"),
        WRITTEN + " \t\n\n \r\n",
        WRITTEN + "\0",
        "\r\n\n" + WRITTEN,
        WRITTEN.replace("in the", "in\tthe"),
        WRITTEN.replace("prompt: fog", "prompt:\r\nfog"),
        WRITTEN.replace("prompt: fog", "prompt:fog"),
        WRITTEN.replace("prompt: fog", "prompt:\tfog"),
        WRITTEN.replace("Negative prompt", "  Negative Prompt"),
        WRITTEN.replace("\n", " "),
        WRITTEN.replace("\nNegative", ", Negative").replace("\nSteps", ", Steps").replace("\n", " "),
        WRITTEN.replace("\nNegative", " Negative"),
        WRITTEN.replace("\nSteps", " Steps"),
        WRITTEN.replace(", Seed", "\nSeed"),
        WRITTEN.replace("512x768", "512 x 768"),
        WRITTEN.replace("Steps: 20", "Steps: 20.0"),
        WRITTEN
        + ', Civitai resources: [{"modelName":"A, B: c","weight":1}], Civitai metadata: {"x, y: z":1}',
    ],
)
def test_text_is_read_however_it_was_passed_on(text: str) -> None:
    assert import_infotext(text) == ImportedRequest(request=READ)


def test_a_template_stands_beside_the_words() -> None:
    template = "a {cat|dog}, in the __weather__"
    ours = replace(READ, template=template, negative_template="{fog|mist}")
    assert import_infotext(to_infotext(ours)) == ImportedRequest(request=ours)
    assert import_infotext(WRITTEN + "\nTemplate: a {cat|dog}").request == replace(
        READ, template="a {cat|dog}"
    )


def test_capitals_and_a_byte_order_mark_do_not_count() -> None:
    settings = "steps: 20, sampler: Euler, cfg scale: 7, seed: 123, size: 512x768"
    text = f"\ufeffa cat, in the rain\nnegative prompt: fog\n{settings}"
    assert import_infotext(text) == ImportedRequest(request=READ)


def test_words_of_the_format_inside_our_own_prompt_stay_there() -> None:
    request = GenerationRequest(prompt="a cat Negative prompt: rain", negative_prompt="negative prompt:fog")
    assert from_infotext(to_infotext(request)) == request


def test_two_settings_are_enough_on_a_line_of_their_own() -> None:
    assert from_infotext("a cat\nSteps: 50, Seed: 7") == GenerationRequest(prompt="a cat", steps=50, seed=7)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("Steps: many", "Steps is left out: got Steps 'many' in the infotext; expected a number"),
        ("Steps: 0", "Steps is left out: got steps 0; expected 1 to 1000"),
        ("CFG scale: nan", "CFG scale is left out: got guidance nan"),
        ("CFG scale: 999", "CFG scale is left out: got guidance 999"),
        ("Seed: -1", "Seed is left out: got seed -1"),
        ("Seed: " + "9" * 5000, "Seed is left out: got Seed '999"),
        ("Size: 8by8", "Size is left out: got size '8by8'"),
        ("Size: 0x99999", "Size is left out: got width 0"),
        ("Quality: best", "Quality is left out: got quality 'best'"),
        ("Model: ", "Model is left out: the base is empty"),
    ],
)
def test_one_bad_value_does_not_cost_the_others(bad: str, told: str) -> None:
    name = bad.partition(":")[0]
    settings = {
        "Steps": "20",
        "CFG scale": "7",
        "Seed": "123",
        "Size": "512x768",
        name: bad.partition(": ")[2],
    }
    text = "a cat\n" + ", ".join(f"{key}: {value}" for key, value in settings.items())
    read = import_infotext(text)
    assert len(read.remarks) == 1
    assert read.remarks[0].startswith(told)
    good = {
        key: getattr(READ, field) for key, field in (("Steps", "steps"), ("Seed", "seed"), ("Size", "width"))
    }
    kept = {"Steps": read.request.steps, "Seed": read.request.seed, "Size": read.request.width}
    assert {key: value for key, value in kept.items() if key != name} == {
        key: value for key, value in good.items() if key != name
    }


def test_loras_that_cannot_be_used_are_left_out_and_told() -> None:
    text = "a cat <lora:ink:0.5> <lora:a:1:2> <lora:b:99> <lora:ink:1>\nSteps: 5, Seed: 1, Size: 8x8"
    read = import_infotext(text)
    assert (read.request.prompt, read.request.loras) == ("a cat", (LoraUse(name="ink", weight=1.5),))
    assert [remark[:12] for remark in read.remarks] == ["a LoRA is le", "a LoRA is le"]


def test_what_has_a_part_in_the_picture_and_is_not_followed_is_told() -> None:
    settings = (
        "Sampler: DPM++ 2M, Schedule type: Karras, Clip skip: 2, VAE: x.pt, Hires upscale: 2, Model hash: 1f"
    )
    read = import_infotext(f"a cat\nSteps: 5, Seed: 1, Size: 8x8, {settings}, Version: v1.9")
    assert read.remarks == (
        "not followed here: Sampler: DPM++ 2M, Schedule type: Karras, Clip skip: 2, VAE: x.pt, Hires upscale: 2",
    )
    assert import_infotext("a cat\nSteps: 5, Seed: 1, Sampler: Euler, Clip skip: 1").remarks == ()


@given(st.text(max_size=300) | st.text('Steps: ,"\\\n1x', max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(RequestError):
        assert from_infotext(text).prompt.strip()


@pytest.mark.parametrize(
    "piece",
    [
        "Steps: 1\n",
        "Steps: 1 ",
        "Civitai a: {",
        "Civitai a: [\n",
        "Negative prompt:",
        "a",
        "a ",
        " ",
        '"',
        'a: "\\',
        "a: ",
        ", ",
        "a:" + " " * 50,
    ],
)
def test_hostile_text_costs_no_time(piece: str) -> None:
    text = "x\n" + piece * ((MAX_CHARS - 10) // len(piece))
    started = time.perf_counter()
    with suppress(RequestError):
        from_infotext(text)
    assert time.perf_counter() - started < 5


def test_half_a_character_stays_as_it_is_written() -> None:
    """JSON can say one, but no file and no answer can hold it."""
    text = 'a cat\nSteps: 5, Half: "a \\ud800, b", Whole: "\\ud83d\\ude00, \\u00e9"'
    settings = split_infotext(text)[2]
    assert settings == {"Steps": "5", "Half": r'"a \ud800, b"', "Whole": "😀, é"}


def test_sizes() -> None:
    assert parse_size("256x128") == parse_size("256X128") == parse_size(" 256×128 ") == (256, 128)
    for text in ("", "256", "x", "256x", "-1x5", "1.5x2", "9999999x1", "١x٢"):
        with pytest.raises(RequestError, match="expected width x height in pixels"):
            parse_size(text)
