# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Watch a running controller: mode, values, thresholds, monitors, latency, interventions.

The command only listens. Ctrl-C ends it; the controller continues.
"""

from __future__ import annotations

import argparse

from spowl_ros.cli._numbers import between
from spowl_ros.system.nodes import check_namespace

HELP = 'watch a running controller'
NOBODY = 1
ONCE_S = 10.0
"""Longest wait for a controller with --once, seconds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('--namespace', default='', help="the controller's namespace")
    parser.add_argument('--seconds', type=between(float, 0.0),
                        help='leave after so long (default: watch until Ctrl-C; with --once: '
                        f'{ONCE_S:g})')
    parser.add_argument('--once', action='store_true',
                        help='print one screen as soon as a controller decides, and leave')


def run(args: argparse.Namespace) -> int:
    """Watch; return 1 if no controller was heard."""
    check_namespace(args.namespace)

    from spowl_ros.clients.screen import show

    seconds = args.seconds or (ONCE_S if args.once else float('inf'))
    return 0 if show(args.namespace, seconds, args.once) else NOBODY
