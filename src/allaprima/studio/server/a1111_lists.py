"""The lists that A1111's clients ask for before they paint: of what is not here, empty ones in its shape."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from allaprima.core.system_limits import memory_bytes, peak_resident_bytes

router = APIRouter(prefix="/sdapi/v1", tags=["A1111"])


@router.get("/latent-upscale-modes")
@router.get("/sd-vae")
@router.get("/hypernetworks")
@router.get("/face-restorers")
@router.get("/realesrgan-models")
@router.get("/prompt-styles")
@router.get("/script-info")
@router.get("/extensions")
@router.get("/sd-modules")
def empty_list() -> list[Any]:
    """Return that there are none."""
    return []


@router.get("/embeddings")
def embeddings() -> dict[str, Any]:
    """Return that there are no textual inversions."""
    return {"loaded": {}, "skipped": {}}


@router.get("/scripts")
def scripts() -> dict[str, Any]:
    """Return that there are no scripts."""
    return {"txt2img": [], "img2img": []}


@router.get("/cmd-flags")
def cmd_flags() -> dict[str, Any]:
    """Return how the studio was started, as far as clients look at it; its folders are nobody's business."""
    return {"api": True, "nowebui": False, "listen": None, "share": False}


@router.get("/memory")
def memory() -> dict[str, Any]:
    """Return the machine's memory and the most that the studio has used, in bytes."""
    free, total = memory_bytes()
    return {
        "ram": {"free": free, "used": peak_resident_bytes(), "total": total},
        "cuda": {"error": "unavailable"},
    }


@router.post("/refresh-checkpoints")
@router.post("/refresh-vae")
@router.post("/refresh-embeddings")
@router.post("/unload-checkpoint")
@router.post("/reload-checkpoint")
def nothing_to_do() -> dict[str, Any]:
    """Do nothing: bases are chosen at the start, and loaded when they are asked for."""
    return {}
