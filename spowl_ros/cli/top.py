# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Watch a running controller: mode, values, thresholds, monitors, latency, interventions.

Listens only; Ctrl-C leaves, and what it watched goes on.
"""

from __future__ import annotations

import argparse
import os
import threading
import time

from spowl_ros.system.nodes import check_namespace

HELP = 'watch a running controller'
REFRESH_HZ = 5
NOBODY = 1
DECISIONS = 10  # that --once waits for
ONCE_S = 10.0
"""How long --once waits for them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('--namespace', default='', help="the controller's namespace")
    parser.add_argument('--seconds', type=float, default=float('inf'),
                        help='leave after so long (default: watch until Ctrl-C)')
    parser.add_argument('--once', action='store_true',
                        help='print one screen as soon as a controller decides, and leave')


def run(args: argparse.Namespace) -> int:
    """Watch; exit code 1 if no controller was heard."""
    check_namespace(args.namespace)

    from spowl_ros.system.running import environment

    os.environ.update(environment())
    import rclpy
    from rclpy.signals import SignalHandlerOptions
    from rich.console import Console
    from rich.live import Live

    from spowl_ros.clients.screen import screen
    from spowl_ros.clients.watcher import Watcher
    from spowl_ros.ros.process import end_on_signals, make_executor

    leaving = end_on_signals()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    console = Console()
    node = Watcher(args.namespace)
    end = time.monotonic() + (min(args.seconds, ONCE_S) if args.once else args.seconds)
    executor = make_executor()
    executor.add_node(node)
    spinning = threading.Thread(target=executor.spin, name='top', daemon=True)
    spinning.start()
    try:
        if args.once:
            while (len(node.picture.arrivals) < DECISIONS and time.monotonic() < end
                   and not leaving.wait(1.0 / REFRESH_HZ)):
                pass
            console.print(screen(node.picture, time.monotonic()))
        else:
            with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
                while time.monotonic() < end and not leaving.wait(1.0 / REFRESH_HZ):
                    live.update(screen(node.picture, time.monotonic()), refresh=True)
    finally:
        executor.shutdown()
        spinning.join(1.0)
        rclpy.try_shutdown()
    return 0 if node.picture.decision is not None else NOBODY

