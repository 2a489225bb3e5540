# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Signs bundles and verifies their signer with OpenSSF model signing (the extra `[sign]`).

A signature covers every file of a bundle and lies beside them as `model.sig`. It is made and
checked on a private copy of the bytes that were read: the checked bytes are the ones used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
import tempfile
from typing import Any

from spowl_ros.base.errors import SpowlError, first_line

SIGNATURE = 'model.sig'


@dataclass(frozen=True)
class Signer:
    """The required signer: the owner of a key, or an identity."""

    key: Path | None = None
    """Public key (PEM, elliptic curve)."""
    identity: str = ''
    """Identity that signed by Sigstore, as an e-mail address,"""
    issuer: str = ''
    """and the OpenID Connect issuer (address) that confirms it."""

    def __str__(self) -> str:
        return f'the key {self.key}' if self.key else f'{self.identity} ({self.issuer})'


def of_key(path: str) -> Signer | None:
    """Return the required signer for a parameter that names a public key; None if empty."""
    return Signer(Path(path)) if path else None


def verify(where: Path, files: Mapping[str, bytes], signer: Signer) -> None:
    """
    Check that a signer signed exactly these files.

    :param where: the bundle, for the message
    :param files: name to bytes, the signature among them
    :raises SpowlError: unsigned, signed by somebody else, changed since, or `[sign]` is missing
    """
    if SIGNATURE not in files:
        raise SpowlError(f'{where}: it is not signed (no {SIGNATURE}), a signature by {signer} is '
                         "required; sign it with 'spowl sign'")
    if signer.key is not None and not signer.key.is_file():
        raise SpowlError(f'{signer.key}: there is no public key; name a PEM file')
    config = _library().verifying.Config()
    if signer.key is not None:
        _require_elliptic(signer.key, public=True)
    with _copied(files) as (copy, signature):
        try:
            if signer.key is not None:
                config.use_elliptic_key_verifier(public_key=signer.key)
            else:  # asks Sigstore's servers for its present keys
                config.use_sigstore_verifier(identity=signer.identity, oidc_issuer=signer.issuer)
            config.verify(copy, signature)
        except Exception as error:  # the library raises many kinds
            raise SpowlError(f'{where}: the signature was not found to be one by {signer} of what '
                             f'is there: {first_line(error)}') from error


def sign(where: Path, files: Mapping[str, bytes], key: Path | None,
         password: str | None = None, token: str | None = None) -> bytes:
    """
    Return a signature of files.

    :param key: private key (PEM, elliptic curve); None signs by Sigstore, which asks who you are
    :param token: of the identity, for Sigstore; None: from the environment or a browser
    :raises SpowlError: no such key, no identity, or `[sign]` is missing
    """
    config = _library().signing.Config()
    if key is not None:
        _require_elliptic(key, public=False, password=password)
    with _copied({name: data for name, data in files.items() if name != SIGNATURE}
                 ) as (copy, signature):
        try:
            if key is not None:
                config.use_elliptic_key_signer(private_key=key, password=password)
            else:
                config.use_sigstore_signer(identity_token=token)
            config.sign(copy, signature)
            return signature.read_bytes()
        except Exception as error:  # the library raises many kinds
            raise SpowlError(f'{where}: cannot be signed with {key or "Sigstore"}: '
                             f'{first_line(error)}') from error


def _require_elliptic(key: Path, public: bool, password: str | None = None) -> None:
    """
    Refuse a key of another kind; what else is wrong with one the library says itself.

    :raises SpowlError: an RSA key, for example
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        load_pem_private_key,
        load_pem_public_key,
    )

    try:
        data = key.read_bytes()
        loaded = load_pem_public_key(data) if public else load_pem_private_key(
            data, password.encode() if password else None)
    except (OSError, ValueError, TypeError):
        return
    if not isinstance(loaded, (ec.EllipticCurvePublicKey, ec.EllipticCurvePrivateKey)):
        raise SpowlError(f'{key}: not a key of an elliptic curve; `spowl sign --help` says how to '
                         'make one')


def _library() -> Any:
    try:
        import model_signing.signing
        import model_signing.verifying
    except ImportError as error:
        raise SpowlError("signatures need the extra [sign]: pip install 'spowl_ros[sign]'"
                         ) from error
    return model_signing


@contextmanager
def _copied(files: Mapping[str, bytes]) -> Iterator[tuple[Path, Path]]:
    """Write files into a private directory; yield the directory and the signature's path."""
    with tempfile.TemporaryDirectory(prefix='spowl-signature-') as name:
        copy, signature = Path(name) / 'bundle', Path(name) / SIGNATURE
        copy.mkdir()
        for file, data in files.items():
            (signature if file == SIGNATURE else copy / file).write_bytes(data)
        yield copy, signature
