"""A1111's routes under /sdapi/v1, for the programs that speak them.

Answers have the fields of `modules/api/models.py` in stable-diffusion-webui, with names where that has paths.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import time
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from allaprima.core.errors import RequestError
from allaprima.core.infotext import split_infotext, to_infotext
from allaprima.core.init_image import InitImage
from allaprima.core.picture import Picture
from allaprima.core.picture_files import read_infotext
from allaprima.core.request import GenerationRequest
from allaprima.core.retouch import Operation
from allaprima.core.retouch_source import open_to_retouch
from allaprima.core.retouched import RetouchedPicture
from allaprima.studio.engine.messages import Progress, RetouchOrder
from allaprima.studio.server.a1111_bodies import (
    CHECKPOINT,
    ImageToImage,
    TextToImage,
    get_base,
    ignored_settings,
    to_order,
)
from allaprima.studio.server.a1111_hires import hires_of
from allaprima.studio.server.a1111_names import LABELS, SAMPLER
from allaprima.studio.server.a1111_pictures import to_init_images
from allaprima.studio.server.a1111_retouch_routes import at_size
from allaprima.studio.server.jobs import JobResult, Ticket, finish, finish_retouch
from allaprima.studio.server.lora_cards import LoraCard
from allaprima.studio.server.retouch_routes import check_result
from allaprima.studio.server.studio import Order, Studio, StudioDep
from allaprima.studio.server.uploads import decode_base64

router = APIRouter(prefix="/sdapi/v1", tags=["A1111"])

_PREVIEWS = "live_previews_enable"
_ABOUT = {
    "the prompt": "prompt", "the end of the prompt": "prompt", "the negative prompt": "negative_prompt",
    "the end of the negative prompt": "negative_prompt", "guidance ": "cfg_scale", "the layout": "layout",
}  # fmt: skip
"""How remarks on the words and the guidance begin, and the fields that they are about."""
_LOG = logging.getLogger(__name__)


class PngInfoBody(BaseModel):
    """A picture to read."""

    image: str = Field(min_length=1)


@router.post("/txt2img")
async def txt2img(body: TextToImage, http: Request, answer: Response, studio: StudioDep) -> dict[str, Any]:
    """Paint pictures from words."""
    order = to_order(body, studio)
    answer.headers.update(order.headers)
    return await _paint(body, order, [], http, studio)


@router.post("/img2img")
async def img2img(body: ImageToImage, http: Request, answer: Response, studio: StudioDep) -> dict[str, Any]:
    """Paint over a picture, or over each of several."""
    order = to_order(body, studio)
    answer.headers.update(order.headers)
    init_images = await studio.open_pictures(to_init_images, body, order.requests[0], studio.settings.caps)
    return await _paint(body, order, init_images, http, studio)


@router.get("/progress")
async def progress(studio: StudioDep, skip_current_image: Annotated[bool, Query()] = False) -> dict[str, Any]:
    """Return how far the job is that is painted now."""
    tickets = list(studio.jobs.tickets.values())
    now = next((ticket for ticket in tickets if ticket.position is None), None)
    step = (now and now.progress) or Progress(picture=1, pictures=1, step=0, total=0)
    preview = None if skip_current_image or step.preview is None else base64.b64encode(step.preview).decode()
    return {
        "progress": 0.0 if now is None else now.share,
        "eta_relative": _seconds_left(now),
        "state": {
            "skipped": False,
            "interrupted": False,
            "stopping_generation": False,
            "job": "" if now is None else now.id,
            "job_count": len(tickets),
            "job_timestamp": _timestamp(now.submitted_s if now is not None else 0.0),
            "job_no": step.picture - 1,
            "sampling_step": step.step,
            "sampling_steps": step.total,
        },
        "current_image": preview,
        "textinfo": None,
        "current_task": None if now is None else now.id,
    }


@router.post("/interrupt")
async def interrupt(studio: StudioDep) -> dict[str, Any]:
    """Cancel the A1111 job that is painted now, or else the next one; its answer has the pictures that are done."""
    if (ticket := _first_own(studio)) is not None:
        ticket.cancel()
    return {}


@router.post("/skip")
async def skip(studio: StudioDep) -> dict[str, Any]:
    """Leave out the picture of an A1111 job that is painted now, and go on with the job's next."""
    ticket = _first_own(studio)
    if ticket is not None and ticket.position is None:
        ticket.skip()
    return {}


def _first_own(studio: Studio) -> Ticket | None:
    own = [ticket for ticket in studio.jobs.tickets.values() if ticket.api == "a1111"]
    return min(own, key=lambda ticket: -1 if ticket.position is None else ticket.position, default=None)


@router.get("/options")
def options(studio: StudioDep) -> dict[str, Any]:
    """Return the settings that can be changed, and some that clients look for."""
    return {
        CHECKPOINT: studio.a1111_options.get(CHECKPOINT, studio.first_base.name),
        _PREVIEWS: bool(studio.a1111_options.get(_PREVIEWS, False)),
        "samples_format": "png",
        "samples_save": True,
    }


@router.post("/options")
def set_options(body: dict[str, Any], studio: StudioDep) -> dict[str, Any] | None:
    """Choose the base, or previews in /progress (which cost a decode per step), for all clients of these routes.

    The answer is A1111's null, or else lists what is not here.
    """
    if CHECKPOINT in body:
        studio.a1111_options[CHECKPOINT] = get_base(body[CHECKPOINT], studio).name
    if _PREVIEWS in body:
        studio.a1111_options[_PREVIEWS] = bool(body[_PREVIEWS])
    ignored = ignored_settings(body, but={CHECKPOINT, _PREVIEWS})[:20]
    if ignored:
        _LOG.info("options that are not here: %s", ", ".join(repr(name[:40]) for name in ignored))
    return {"ignored": ignored} if ignored else None


@router.get("/loras")
def loras(studio: StudioDep) -> JSONResponse:
    """List the LoRAs by name."""
    return JSONResponse([_lora(card) for card in studio.loras.all()])


def _lora(card: LoraCard) -> dict[str, Any]:
    words = {"ss_output_name": card.name, "trigger_words": list(card.trigger_words)}
    return {**dict.fromkeys(("name", "alias", "path"), card.name), "metadata": words}


@router.post("/refresh-loras")
def refresh_loras() -> dict[str, Any]:
    """Look at the folder of LoRAs again."""
    return {}  # it is looked at with every request


@router.get("/sd-models")
def sd_models(studio: StudioDep) -> list[dict[str, Any]]:
    """List the bases."""
    return [
        {"title": name, "model_name": name, "hash": None, "sha256": None, "filename": name, "config": None}
        for name in studio.bases
    ]


@router.get("/samplers")
def samplers() -> list[dict[str, Any]]:
    """List the one sampler; the base and its schedule decide which rule it follows."""
    return [{"name": SAMPLER, "aliases": ["euler"], "options": {}}]


@router.get("/schedulers")
def schedulers(studio: StudioDep) -> list[dict[str, Any]]:
    """List the schedulers that some base follows."""
    known = {name for base in studio.bases.values() for name in base.all_schedules}
    names = {"automatic": "Automatic", **{name: label for name, label in LABELS.items() if name in known}}
    more = {"aliases": None, "default_rho": -1, "need_inner_model": False}
    return [{"name": label.lower().replace(" ", "_"), "label": label, **more} for label in names.values()]


@router.post("/png-info")
def png_info(body: PngInfoBody) -> dict[str, Any]:
    """Return what a picture says about how it was painted."""
    text = read_infotext(io.BytesIO(decode_base64(body.image)))
    if not text:
        return {"info": "", "items": {}, "parameters": {}}
    parameters: dict[str, str] = {}
    with suppress(RequestError):
        prompt, negative, settings = split_infotext(text)
        parameters = {"Prompt": prompt, "Negative prompt": negative, **settings}
    return {"info": text, "items": {"parameters": text}, "parameters": parameters}


async def _paint(
    body: TextToImage, order: Order, init_images: list[InitImage], http: Request, studio: StudioDep
) -> dict[str, Any]:
    keep = not body.do_not_save_samples
    hires = hires_of(body)
    operations = hires.operations(order, studio)
    result = await _paint_all(order, init_images, http, studio, keep=keep and not operations)
    finer = [await _second_pass(picture, operations, http, studio, keep=keep) for picture in result.pictures]

    def encode() -> tuple[list[Picture], list[str]]:
        shown = [order.size.show(picture) for picture in result.pictures]
        large = [at_size(picture, hires.size(order)) for picture in finer if picture is not None]
        sent: list[Picture | RetouchedPicture] = (
            [*(large if operations else shown)] if body.send_images else []
        )
        return shown, [base64.b64encode(studio.encode(picture)).decode() for picture in sent]

    pictures, images = await asyncio.to_thread(encode)
    if hires.enable_hr:
        unheard = hires.unheard(studio.bases[order.requests[0].base], studio)
        order = replace(order, ignored=(*order.ignored, *sorted(unheard)))
    info = _info(body, order, pictures, interrupted=result.cancelled)
    if operations:
        info["width"], info["height"] = hires.size(order)
    text = json.dumps({**info, **_about_init(pictures, init_images)}, allow_nan=False)
    return {"images": images, "parameters": body.echo(), "info": text}


async def _paint_all(
    order: Order, init_images: list[InitImage], http: Request, studio: Studio, *, keep: bool
) -> JobResult:
    """Return the pictures of `order`, which take turns with the images that they are painted over: a job for each."""
    previews = bool(studio.a1111_options.get(_PREVIEWS, False))
    over: list[InitImage | None] = [*init_images] or [None]
    result = JobResult()
    for first, init_image in enumerate(over):
        requests = order.requests[first :: len(over)]
        run = studio.jobs.run(
            requests, http, api="a1111", init_image=init_image, previews=previews, keep=keep
        )
        done = await finish(run)
        result.pictures += done.pictures
        result.cancelled = done.cancelled
        if done.cancelled:
            break
    result.pictures.sort(key=lambda picture: picture.request.seed)
    return result


async def _second_pass(
    picture: Picture, operations: tuple[Operation, ...], http: Request, studio: StudioDep, *, keep: bool
) -> RetouchedPicture | None:
    """Return what was painted after its second pass; None without one, or if that was interrupted."""
    if not operations:
        return None
    opened = open_to_retouch(picture)
    check_result(opened, operations, studio.settings.caps)
    order = RetouchOrder(picture=opened, operations=operations)
    return await finish_retouch(studio.jobs.retouch(order, http, api="a1111", keep=keep))


def _info(body: TextToImage, order: Order, pictures: list[Picture], *, interrupted: bool) -> dict[str, Any]:
    # Of an interrupted job what it was to be; A1111's clients read the first of each list.
    requests = [picture.request for picture in pictures] or order.requests[:1]
    first = requests[0]
    width, height = (pictures[0].width, pictures[0].height) if pictures else (first.width, first.height)
    prompts = [_tagged(request) for request in requests]
    loras = [lora.to_json() for picture in pictures[:1] for lora in picture.loras]
    remarks = list(dict.fromkeys(remark for picture in pictures for remark in picture.remarks))
    ignored = [*order.ignored, *_fields_of(remarks)]
    return {
        "prompt": prompts[0], "all_prompts": prompts,
        "negative_prompt": first.negative_prompt,
        "all_negative_prompts": [request.negative_prompt for request in requests],
        "seed": first.seed, "all_seeds": [request.seed for request in requests],
        "subseed": -1, "all_subseeds": [-1] * len(requests), "subseed_strength": 0,
        "width": width, "height": height,
        "sampler_name": SAMPLER, "cfg_scale": first.guidance, "steps": first.steps,
        "batch_size": body.batch_size, "sd_model_name": first.base,
        "sd_model_hash": pictures[0].base_hash if pictures else None,
        "job_timestamp": _timestamp(time.time()), "index_of_first_image": 0,
        "interrupted": interrupted, "loras": loras, "ignored": list(dict.fromkeys(ignored)),
        "remarks": remarks,
    }  # fmt: skip


def _fields_of(remarks: list[str]) -> list[str]:
    """Return the fields that `remarks` are about: A1111's clients may look at `ignored` alone."""
    return [name for start, name in _ABOUT.items() if any(remark.startswith(start) for remark in remarks)]


def _tagged(request: GenerationRequest) -> str:
    """Return the prompt with the LoRAs as tags, so that a client that sends it again gets the same picture."""
    return to_infotext(request).partition("\n")[0]


def _about_init(pictures: list[Picture], init_images: list[InitImage]) -> dict[str, Any]:
    strength = init_images[0].strength if init_images else None
    return {"denoising_strength": strength, "infotexts": [picture.infotext for picture in pictures]}


def _seconds_left(ticket: Ticket | None) -> float:
    if ticket is None or ticket.begun_s is None or ticket.share <= 0:
        return 0.0
    return (time.time() - ticket.begun_s) * (1 / ticket.share - 1)


def _timestamp(seconds: float) -> str:
    return time.strftime("%Y%m%d%H%M%S", time.localtime(seconds)) if seconds else "0"
