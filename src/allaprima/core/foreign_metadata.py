"""Whose words are in a picture that carries no request this program reads: other programs write JSON of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

_Texts = Mapping[str, str]


def _json_with(*words: str) -> Callable[[_Texts], bool]:
    def fits(texts: _Texts) -> bool:
        return any(
            text.lstrip()[:1] == "{" and all(f'"{word}"' in text for word in words) for text in texts.values()
        )

    return fits


def _named(*names: str) -> Callable[[_Texts], bool]:
    return lambda texts: any(name in texts for name in names)


def _is_comfy(texts: _Texts) -> bool:
    # In WebP its two texts lie in tags meant for a camera: "workflow:{...}" and "prompt:{...}".
    tags = (texts.get("Make", ""), texts.get("Model", ""), texts.get("ImageDescription", ""))
    graph = any("class_type" in texts.get(name, "") for name in ("prompt", "UserComment", "comment"))
    return (
        graph or "workflow" in texts or any(tag.lower().startswith(("workflow:", "prompt:")) for tag in tags)
    )


_PROGRAMS: tuple[tuple[str, Callable[[_Texts], bool]], ...] = (
    ("SwarmUI's JSON (sui_image_params)", _json_with("sui_image_params")),
    ("InvokeAI's JSON", _named("invokeai_metadata", "invokeai_graph", "invokeai_workflow", "sd-metadata", "Dream")),
    ("ComfyUI's graph of nodes", _is_comfy),
    ("Fooocus's JSON", lambda texts: "fooocus_scheme" in texts or _json_with("fooocus_version")(texts)
        or _json_with("base_model", "performance")(texts)),
    ("NovelAI's JSON", lambda texts: texts.get("Software", "").startswith("NovelAI")
        or _json_with("uc", "scale")(texts)),
    ("Draw Things' JSON", _json_with("c", "uc", "v2")),
    ("Easy Diffusion's JSON", _json_with("num_inference_steps", "guidance_scale")),
    ("Easy Diffusion's texts", _named("num_inference_steps", "use_stable_diffusion_model")),
)  # fmt: skip


def find_program(texts: _Texts) -> str | None:
    """Return whose settings the `texts` of a picture are, as the end of a sentence; None if it is not known."""
    return next((name for name, fits in _PROGRAMS if fits(texts)), None)
