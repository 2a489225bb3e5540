# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Make a bundle from a policy that another library trained; the bundle drives like our own.

POLICY is an ONNX file: observation in, action out. CONTRACT is a YAML file that describes each
number of both; docs/wrap.md shows one. With --golden, the bundle must reproduce commands that the
policy's own library computed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = 'make a bundle of a policy of another library (ONNX)'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument('policy', metavar='POLICY', type=Path, help='ONNX file')
    parser.add_argument('contract', metavar='CONTRACT', type=Path, help='YAML file')
    parser.add_argument('directory', metavar='DIRECTORY', type=Path, help='bundle to write')
    parser.add_argument('--golden', metavar='FILE', type=Path,
                        help="npz file of `observation` (n, O) and `command` (n, A) of the "
                        "policy's own library")


def run(args: argparse.Namespace) -> int:
    """Wrap the policy and print what was compared."""
    from spowl_ros.training.wrap import wrap

    bundle = wrap(args.policy, args.contract, args.directory, args.golden)
    compared = bundle.provenance['compared_with_its_library']
    print(f'{args.directory}: a policy for {bundle.contract.task}, verified; '
          + (f'{compared} commands of its library are reproduced' if compared else
             'NOT compared with its library: give --golden FILE'))
    return 0
