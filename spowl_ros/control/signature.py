# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Who made a bundle: signatures by OpenSSF model signing (the extra `[sign]`).

A signature covers every file of a bundle and lies beside them as `model.sig`. It is made and
checked on a private copy of the bytes that were read, so that what was checked is what is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
import tempfile
from typing import Any

from spowl_ros.base.errors import SpowlError

SIGNATURE = 'model.sig'


@dataclass(frozen=True)
class Signer:
    """Whose signature is wanted: that of a key, or that of an identity."""

    key: Path | None = None
    """Public key (PEM, elliptic curve)."""
    identity: str = ''
    """Who signed by Sigstore, as an address of e-mail,"""
    issuer: str = ''
    """and who vouches for that (an OpenID Connect issuer's address)."""

    def __str__(self) -> str:
        return f'the key {self.key}' if self.key else f'{self.identity} ({self.issuer})'


def of_key(path: str) -> Signer | None:
    """Return who must have signed by a parameter that names a public key; nobody where empty."""
    return Signer(Path(path)) if path else None


def verify(where: Path, files: Mapping[str, bytes], signer: Signer) -> None:
    """
    Make sure that somebody signed these files, all of them and no others.

    :param where: the bundle, for the message
    :param files: name to bytes, the signature among them
    :raises SpowlError: unsigned, signed by somebody else, changed since, or no `[sign]`
    """
    if SIGNATURE not in files:
        raise SpowlError(f'{where}: it is not signed (no {SIGNATURE}), a signature by {signer} is '
                         "required; sign it with 'spowl sign'")
    if signer.key is not None and not signer.key.is_file():
        raise SpowlError(f'{signer.key}: there is no public key; name a PEM file')
    config = _library().verifying.Config()
    if signer.key is not None:
        config.use_elliptic_key_verifier(public_key=signer.key)
    else:
        config.use_sigstore_verifier(identity=signer.identity, oidc_issuer=signer.issuer)
    with _copied(files) as (copy, signature):
        try:
            config.verify(copy, signature)
        except Exception as error:  # the library raises many kinds
            raise SpowlError(f'{where}: the signature is not one by {signer} of what is there: '
                             f'{_line(error)}') from error


def sign(where: Path, files: Mapping[str, bytes], key: Path | None,
         password: str | None = None, token: str | None = None) -> bytes:
    """
    Return a signature of files.

    :param key: private key (PEM, elliptic curve); None signs by Sigstore, which asks who you are
    :param token: of the identity, for Sigstore; None: from the surroundings or a browser
    :raises SpowlError: no such key, no identity, or no `[sign]`
    """
    config = _library().signing.Config()
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
            raise SpowlError(f'{where}: cannot be signed with {key or "Sigstore"}: {_line(error)}'
                             ) from error


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
    """Write files into a directory that nobody else can write to; give it and the signature."""
    with tempfile.TemporaryDirectory(prefix='spowl-signature-') as name:
        copy, signature = Path(name) / 'bundle', Path(name) / SIGNATURE
        copy.mkdir()
        for file, data in files.items():
            (signature if file == SIGNATURE else copy / file).write_bytes(data)
        yield copy, signature


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
