"""What OpenAI's clients send to have a picture painted over: a form with files, or the same as JSON.

A form's picture is a file called `image` or `image[]`, its mask is one called `mask`. In JSON they are base64 or data
URLs, by themselves or as `image_url` in an object. Nothing is ever fetched.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from allaprima.core.errors import RequestError
from allaprima.core.init_image import InitImage
from allaprima.core.layout_json import layout_from_text
from allaprima.core.reference import MAX_REFERENCES
from allaprima.core.starting_picture import StartingPicture
from allaprima.studio.server.errors import ProblemError
from allaprima.studio.server.openai_bodies import EditsBody, base_of, to_order
from allaprima.studio.server.settings import Caps
from allaprima.studio.server.studio import Order, Studio
from allaprima.studio.server.uploads import decode_base64, decode_upload, open_reference

FORM = "multipart/form-data"
MAX_FILES = 17
MAX_FIELDS = 100
_PICTURES = ("image", "image[]", "images", "images[]")
_LORA = ("loras[][name]", "loras[][weight]")
_EXPECTED = "expected a picture as a file of the form, or in base64"
HIGH_FIDELITY = 0.5
"""The strength of `input_fidelity` high; without it more of the picture is painted over."""


def _edit_body(*required: str) -> dict[str, Any]:
    """Return the description of both kinds of bodies for OpenAPI."""
    fields = EditsBody.model_json_schema(ref_template="#/components/schemas/{model}")
    fields.pop("$defs", None)  # LoraField stands among the components, with the other route's
    text, file = {"type": "string"}, {"type": "string", "format": "binary"}
    content = {}
    for kind, picture in (("application/json", text), (FORM, file)):
        schema = {**fields, "properties": {**fields["properties"], "image": picture, "mask": picture}}
        content[kind] = {"schema": {**schema, "required": [*required]}}
    return {"requestBody": {"required": True, "content": content}}


EDIT_BODY = _edit_body("prompt", "image")
VARIATION_BODY = _edit_body("image")


@dataclass(frozen=True, kw_only=True)
class Edit:
    """Pictures to look at, or one to paint over."""

    body: EditsBody
    """All but the pictures."""
    pictures: tuple[bytes, ...]
    """Picture files, at least one."""
    mask: bytes | None
    """A picture file of the first one's size."""

    def to_order(self, studio: Studio) -> tuple[Order, InitImage | None]:
        """Return what is asked for, and what is painted over.

        A base that looks at pictures looks at all of them; the first is painted over besides where a mask or a
        strength says so. Any other base paints over the one that there is.

        Raises:
            ProblemError: there are several, for a base that looks at none.
            RequestError: a file cannot be used.
        """
        caps = studio.settings.caps
        if base_of(self.body, studio).reads_references:
            references = tuple(
                open_reference(picture, caps) for picture in self.pictures[: MAX_REFERENCES + 1]
            )
            order = to_order(self.body, studio, references)
            paints_over = self.mask is not None or self.body.strength is not None
            return order, self._to_init_image(order, caps) if paints_over else None
        if len(self.pictures) != 1:
            raise ProblemError(
                400, f"got {len(self.pictures)} pictures; expected one picture, for this base", param="image"
            )
        order = to_order(self.body, studio)
        return order, self._to_init_image(order, caps)

    def _to_init_image(self, order: Order, caps: Caps) -> InitImage:
        """Return what `order` is painted over; RequestError for files that cannot be used.

        Where the base does not paint the size that was asked for, and the picture has it, what is painted is put into
        the picture at its size, so that what the mask keeps is still kept to the bit.
        """
        strength = self.body.strength
        if strength is None and self.mask is None and self.body.input_fidelity == "high":
            strength = HIGH_FIDELITY
        start = StartingPicture.of(
            decode_upload(self.pictures[0], caps),
            mask=None if self.mask is None else decode_upload(self.mask, caps),
            strength=strength,
        )
        width, height = order.requests[0].width, order.requests[0].height
        size = start.picture.size
        if start.mask is not None and order.size.asked == size and size[0] * height == size[1] * width:
            return InitImage.window(
                start.picture, start.mask, (0, 0, *size), width=width, height=height, strength=start.strength
            )
        return start.init_image(width=width, height=height)


async def read_edit(
    http: Request, fields_of: Callable[[bytes], Mapping[str, Any]] = lambda _picture: {}
) -> Edit:
    """Return what the body of a request asks for.

    Args:
        http: the request.
        fields_of: what the first picture says where a body has no prompt.

    Raises:
        ProblemError: the body is no form and no JSON object, or holds no picture, or more than one.
        RequestValidationError: a field is not what was expected.
    """
    if http.headers.get("content-type", "").startswith(FORM):
        fields, pictures, masks = await _read_form(http)
    else:
        fields, pictures, masks = _split_json(await http.body())
    if not pictures or len(masks) > 1:
        got = f"{len(masks)} masks" if pictures else "0 pictures"
        raise ProblemError(400, f"got {got}; expected one picture, and at most one mask", param="image")
    if fields.get("prompt") is None:
        said = {name: value for name, value in fields.items() if value is not None}
        fields = {**fields_of(pictures[0]), **said}
    try:
        body = EditsBody.model_validate(fields)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None
    return Edit(body=body, pictures=tuple(pictures), mask=masks[0] if masks else None)


EditParts = tuple[dict[str, Any], list[bytes], list[bytes]]
"""The fields, the pictures and the masks of a body."""


async def _read_form(http: Request) -> EditParts:
    try:
        form = await http.form(max_files=MAX_FILES, max_fields=MAX_FIELDS)
    except HTTPException as error:
        message = f"the form cannot be read: {error.detail}; expected {FORM}"
        raise ProblemError(400, message[:300], code="invalid_value") from None
    try:
        files = {name: await _read_files(form, name) for name in (*_PICTURES, "mask")}
    finally:
        await form.close()
    fields: dict[str, Any] = {
        name: value for name, value in form.items() if name not in files and name not in _LORA
    }
    if loras := _form_loras(form):
        fields["loras"] = loras
    if isinstance(text := fields.get("layout"), str):
        fields["layout"] = layout_from_text(text)
    return fields, [file for name in _PICTURES for file in files[name]], files["mask"]


async def _read_files(form: FormData, name: str) -> list[bytes]:
    return [
        await part.read() if isinstance(part, UploadFile) else decode_base64(part)
        for part in form.getlist(name)
        if part
    ]


def _form_loras(form: FormData) -> list[dict[str, Any]]:
    """Return the LoRAs of a form, as OpenAI's own client spells a list of objects, or as one field of JSON."""
    if isinstance(text := form.get("loras"), str):
        try:
            loras = json.loads(text)
        except (ValueError, RecursionError):
            loras = None
        if not isinstance(loras, list):
            raise RequestError(
                f"got loras {text[:40]!r}; expected a JSON list of objects with name and weight"
            )
        return loras
    names, weights = (form.getlist(name) for name in _LORA)
    if weights and len(weights) != len(names):
        raise RequestError(f"got {len(names)} LoRAs with {len(weights)} weights; expected a weight for each")
    return [
        {"name": name, **({"weight": weights[number]} if weights else {})}
        for number, name in enumerate(names)
    ]


def _split_json(data: bytes) -> EditParts:
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise ProblemError(
            400, f"the body cannot be read; expected {FORM}, or a JSON object", code="invalid_value"
        )
    pictures = [picture for name in ("image", "images") for picture in _as_list(fields.pop(name, None))]
    masks = _as_list(fields.pop("mask", None))
    return fields, list(map(_decode, pictures)), list(map(_decode, masks))


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _decode(value: object) -> bytes:
    if isinstance(value, Mapping):
        value = value.get("image_url")
    if not isinstance(value, str):
        raise RequestError(f"got no text where a picture was to be; {_EXPECTED}")
    return decode_base64(value)
