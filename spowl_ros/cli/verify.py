# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Check a bundle: hashes, schema, operators, shapes and golden vectors.

With --key or --identity, the command checks the signer before it reads anything else. It either
fails with an error that names the file and the difference, or prints how long loading took.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import time

from spowl_ros.control.providers import CPU, PROVIDERS

HELP = 'check that a bundle is whole, computes what it should, and who signed it'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument('directory', metavar='BUNDLE', help='directory of the bundle')
    parser.add_argument('--key', metavar='FILE', type=Path,
                        help='public key (PEM) with which it must be signed')
    parser.add_argument('--identity', metavar='NAME',
                        help='who must have signed it by Sigstore, as an address of e-mail')
    parser.add_argument('--provider', choices=tuple(PROVIDERS), default=CPU,
                        help='where its graphs run (default: %(default)s)')
    parser.add_argument('--issuer', metavar='URL', default='https://accounts.google.com',
                        help='who vouches for the identity (default: %(default)s)')


def run(args: argparse.Namespace) -> int:
    """Load the bundle, which verifies it."""
    from spowl_ros.base.errors import SpowlError
    from spowl_ros.control import bundle
    from spowl_ros.control.signature import Signer

    if args.key and args.identity:
        raise SpowlError('--key and --identity were both given; say which signature is wanted')
    signer = Signer(args.key, args.identity or '', args.issuer) if (
        args.key or args.identity) else None
    start = time.perf_counter()
    loaded = bundle.load(args.directory, signer=signer, provider=args.provider)
    if loaded.fallback:
        raise SpowlError(f"provider '{args.provider}': {loaded.fallback}")
    print(f'{args.directory}: hashes, schema, operators, shapes and golden vectors agree on '
          f'{args.provider}{f", signed by {signer}" if signer else ""} '
          f'({time.perf_counter() - start:.2f} s)')
    return 0
