# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Sign a bundle (OpenSSF model signing). A robot can then require a signature by a known signer.

The signature covers every file of the bundle; the command writes it beside them as model.sig.
With --key the command signs with a private key. `openssl ecparam -name prime256v1 -genkey -noout
-out key.pem` makes one, and `openssl ec -in key.pem -pubout -out key.pub` its public key.
Without --key Sigstore signs with an identity, which it asks for in a browser or takes from
--identity-token. Needs the extra [sign].
"""

from __future__ import annotations

import argparse
from pathlib import Path

from spowl_ros.base.errors import SpowlError

HELP = 'sign a bundle with a key or an identity'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument('directory', metavar='BUNDLE', type=Path, help='directory of the bundle')
    parser.add_argument('--key', metavar='FILE', type=Path,
                        help='private key (PEM, elliptic curve)')
    parser.add_argument('--ask-password', action='store_true', help='the key has a password')
    parser.add_argument('--identity-token', metavar='TOKEN',
                        help='OpenID Connect token of who signs, for Sigstore')


def run(args: argparse.Namespace) -> int:
    """Verify the bundle, then write its signature."""
    import getpass

    from spowl_ros.base.files import write_whole
    from spowl_ros.control import bundle, signature

    loaded = bundle.load(args.directory)
    bundle.refuse_links(args.directory, loaded.content)
    try:
        password = getpass.getpass(f'Password of {args.key}: ') if args.ask_password else None
    except EOFError:
        raise SpowlError(f'no password of {args.key} was given; type it, or pipe it in') from None
    made = signature.sign(args.directory, loaded.content, args.key, password, args.identity_token)
    write_whole(args.directory / signature.SIGNATURE, made)
    print(f'{args.directory}: signed as it is; {signature.SIGNATURE} must stay beside its files')
    return 0
