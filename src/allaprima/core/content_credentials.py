"""Content credentials (C2PA): a signed statement in a picture file that a model made it, and with which program.

    credentials = ContentCredentials(Path("chain.pem"), Path("key.pem"))
    signed = credentials.sign(picture.encode("png"), "png")

The certificate is the user's: readers show whose signature it is, and trust it or not. What is said of the pixels is
what the file says already in IPTC's words (`provenance`). Pixels and request stay as they are, and some 3 kB come in.

Source: C2PA Technical Specification 2.2, https://c2pa.org/specifications/, by the library c2pa-python.
"""

from __future__ import annotations

import io
import json
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allaprima import __version__
from allaprima.core.errors import AssetError, OutputError, UserError

if TYPE_CHECKING:
    from allaprima.core.picture_encoding import FileFormat

_ALGORITHMS = ("es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519")
"""What C2PA allows; which of them a key is for is found by signing."""
_SOURCE = re.compile(rb"newscodes/digitalsourcetype/(\w+)")
_SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
# A thumbnail would be a second picture of 180 kB in the file, and take longer than all the rest.
_SETTINGS = {"builder": {"thumbnail": {"enabled": False}}}


class ContentCredentials:
    """A certificate and its key, which sign picture files; for any number of threads.

    Args:
        certificate: PEM, the signer's certificate first and then those above it.
        key: the signer's private key, PEM in PKCS#8 without a password.

    Raises:
        AssetError: the package c2pa-python is not installed.
        UserError: the files cannot be read, or are none that C2PA allows to sign with.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        try:
            import c2pa
        except ImportError as error:
            raise AssetError(
                'the package c2pa-python is missing; expected it to sign pictures, pip install "allaprima[c2pa]"'
            ) from error
        self._c2pa: Any = c2pa
        self._lock = threading.Lock()
        self._context = c2pa.Context.from_dict(_SETTINGS)
        pems = []
        for path in (certificate, key):
            try:
                pems.append(path.read_bytes())
            except OSError as error:
                raise UserError(f"cannot read {path}: {error.strerror}; expected a PEM file") from error
        self._signer = self._find_signer(certificate, key, *pems)

    def sign(self, data: bytes, file_format: FileFormat) -> bytes:
        """Return the picture file `data` with a signed statement about where its pixels come from.

        Raises:
            OutputError: it cannot be signed.
        """
        found = _SOURCE.search(data)
        source = found[1].decode() if found else "trainedAlgorithmicMedia"
        try:
            with self._lock:
                return self._sign(self._signer, data, file_format, source)
        except self._c2pa.C2paError as error:
            raise OutputError(f"cannot sign the picture: {_reason(error)}; see --c2pa") from error

    def _find_signer(self, certificate: Path, key: Path, chain: bytes, secret: bytes) -> Any:
        """Return what signs with the key, by trying on a picture: a certificate may be wrong in many ways."""
        reasons = []
        for algorithm in _ALGORITHMS:
            try:
                info = self._c2pa.C2paSignerInfo(algorithm.encode(), chain, secret, None)
                signer = self._c2pa.Signer.from_info(info)
                self._sign(signer, _smallest_png(), "png", "trainedAlgorithmicMedia")
            except self._c2pa.C2paError as error:
                reasons.append(f"{algorithm}: {_reason(error)}")
            else:
                return signer
        raise UserError(
            f"cannot sign with {certificate} and {key} ({reasons[0]}); expected a PEM certificate that may sign, "
            "with those above it, and its key in PKCS#8, as in openssl pkcs8 -topk8 -nocrypt"
        )

    def _sign(self, signer: Any, data: bytes, file_format: str, source: str) -> bytes:
        created = {"action": "c2pa.created", "digitalSourceType": f"{_SOURCES}{source}"}
        manifest = {
            "claim_generator_info": [{"name": "Alla Prima", "version": __version__}],
            "format": f"image/{file_format}",
            "assertions": [{"label": "c2pa.actions", "data": {"actions": [created]}}],
        }
        out = io.BytesIO()
        builder = self._c2pa.Builder(json.dumps(manifest), self._context)
        builder.sign(signer, f"image/{file_format}", io.BytesIO(data), out)
        return out.getvalue()


def _smallest_png() -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG")
    return out.getvalue()


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
