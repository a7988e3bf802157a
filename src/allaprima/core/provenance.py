"""What a picture file says about where its pixels come from, in the words that agencies, sites and laws read.

IPTC's "digital source type" in an XMP packet: the machine-readable mark of pictures that a model made, which Google,
Meta and Adobe look for, and one way to meet article 50(2) of the EU's AI Act.

Sources: IPTC Photo Metadata Standard 2023.2, https://cv.iptc.org/newscodes/digitalsourcetype/; XMP (ISO 16684-1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from allaprima.core.retouch import CutOut, Deblock, Operation, Upscale

DigitalSource = Literal[
    "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "algorithmicallyEnhanced"
]
"""Made by a model; partly made by one; a photograph, say, that was cleaned or enlarged."""

PNG_KEY: Final = "XML:com.adobe.xmp"
"""The text of a PNG file that holds the packet."""

_ENHANCING = (Upscale, CutOut, Deblock)
"""Operations that invent nothing."""
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" \
xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmp:CreatorTool="Alla Prima" \
Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/{source}"/>\
</rdf:RDF></x:xmpmeta><?xpacket end="r"?>"""


def xmp_packet(source: DigitalSource) -> str:
    """Return the packet that says so."""
    return _PACKET.format(source=source)


def source_of_painting(*, over_another: bool) -> DigitalSource:
    """Return what a painted picture is: `over_another` that somebody gave, or from nothing."""
    return "compositeWithTrainedAlgorithmicMedia" if over_another else "trainedAlgorithmicMedia"


def source_of_retouching(operations: Sequence[Operation], *, painted: bool) -> DigitalSource:
    """Return what a retouched picture is; `painted` if it was by a model, ours or another program's."""
    if painted:
        return "trainedAlgorithmicMedia"
    enhanced = all(isinstance(one, _ENHANCING) for one in operations)
    return "algorithmicallyEnhanced" if enhanced else "compositeWithTrainedAlgorithmicMedia"
