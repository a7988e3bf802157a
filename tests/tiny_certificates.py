"""A certificate that may sign content credentials, and the authority above it, made by OpenSSL for a test."""

from __future__ import annotations

import subprocess
from pathlib import Path

_EXTENSIONS = """
[above]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
[signer]
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=emailProtection
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
"""


def write_certificates(folder: Path) -> tuple[Path, Path]:
    """Write chain.pem and key.pem into `folder` and return them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "extensions").write_text("[req]\ndistinguished_name=name\n[name]\n" + _EXTENSIONS)
    for name in ("above", "signer"):
        _openssl(
            folder,
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-out",
            f"{name}.key",
        )
    _openssl(
        folder, "req", "-x509", "-new", "-key", "above.key", "-days", "30", "-out", "above.pem",
        "-config", "extensions", "-extensions", "above", "-subj", "/CN=Test authority/O=Tests",
    )  # fmt: skip
    _openssl(
        folder, "req", "-new", "-key", "signer.key", "-out", "signer.csr", "-config", "extensions",
        "-subj", "/CN=Test signer/O=Tests",
    )  # fmt: skip
    _openssl(
        folder, "x509", "-req", "-in", "signer.csr", "-CA", "above.pem", "-CAkey", "above.key", "-CAcreateserial",
        "-days", "30", "-out", "signer.pem", "-extfile", "extensions", "-extensions", "signer",
    )  # fmt: skip
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_text((folder / "signer.pem").read_text() + (folder / "above.pem").read_text())
    (folder / "signer.key").rename(key)
    return chain, key


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
