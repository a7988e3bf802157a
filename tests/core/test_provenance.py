from __future__ import annotations

import io
from xml.etree import ElementTree

import pytest
from PIL import Image

from allaprima.core.picture_encoding import STRENGTH, FileFormat, encode_file, encode_retouched
from allaprima.core.provenance import PNG_KEY
from allaprima.core.request import GenerationRequest
from allaprima.core.retouch import CutOut, Operation, Restyle, Upscale

_IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
FORMATS: tuple[FileFormat, ...] = ("png", "jpeg", "webp")


def source_in(encoded: bytes) -> str:
    """Return the digital source type that a file tells, read as any XML is."""
    with Image.open(io.BytesIO(encoded)) as opened:
        opened.load()
        packet = opened.info["xmp"] if "xmp" in opened.info else opened.info[PNG_KEY]
    root = ElementTree.fromstring(packet if isinstance(packet, bytes) else str(packet).encode())
    (told,) = (element.attrib[_IPTC] for element in root.iter() if _IPTC in element.attrib)
    before, _, name = told.rpartition("/")
    assert before == "http://cv.iptc.org/newscodes/digitalsourcetype"
    return name


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_painting_says_that_a_model_made_it(file_format: FileFormat) -> None:
    request = GenerationRequest(prompt="<a> & 'b'", seed=1)
    painted = encode_file(Image.new("RGB", (8, 8)), request, file_format, rescues={}, extra={})
    assert source_in(painted) == "trainedAlgorithmicMedia"
    over = encode_file(Image.new("RGB", (8, 8)), request, file_format, rescues={}, extra={STRENGTH: "0.5"})
    assert source_in(over) == "compositeWithTrainedAlgorithmicMedia"


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize(
    ("operations", "infotext", "source"),
    [
        ([Upscale(scale=2)], None, "algorithmicallyEnhanced"),
        ([Upscale(scale=2), CutOut()], None, "algorithmicallyEnhanced"),
        ([Upscale(scale=2), Restyle(style="line")], None, "compositeWithTrainedAlgorithmicMedia"),
        ([Upscale(scale=2)], "a cat\nSteps: 4", "trainedAlgorithmicMedia"),
    ],
)
def test_a_retouched_picture_says_what_was_done(
    file_format: FileFormat, operations: list[Operation], infotext: str | None, source: str
) -> None:
    encoded = encode_retouched(
        Image.new("RGB", (8, 8)), file_format, operations=operations, request=None, infotext=infotext
    )
    assert source_in(encoded) == source
