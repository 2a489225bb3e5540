# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Show a running system, or a bag, on a page in the browser.

Without BAG the page shows every controller of the ROS domain, even one that starts later.
Ctrl-C closes the page; the system continues.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from spowl_ros.base.errors import SpowlError
from spowl_ros.cli._numbers import between
from spowl_ros.system.nodes import NodeSpec

HELP = 'show a running system or a bag in the browser'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('bag', nargs='?', metavar='BAG', help='a bag; none: what runs now')
    parser.add_argument('--namespace', default=None, help='of the robot in the bag')
    parser.add_argument('--host', default='127.0.0.1',
                        help='address to serve the page on (default: this machine only)')
    parser.add_argument('--port', type=between(int, 0, 65535), default=8080,
                        help='0: a free one (default 8080)')
    parser.add_argument('--token', default='', help='what visitors must bring')
    parser.add_argument('--rerun', metavar='FILE.rrd',
                        help='write the bag for the Rerun viewer instead of serving a page')
    parser.add_argument('--no-browser', action='store_true', help='open no browser')


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    if args.bag is not None:
        return _show_bag(args)
    if args.rerun is not None:
        raise SpowlError('--rerun writes a bag: name it, spowl view BAG --rerun FILE.rrd')

    from spowl_ros.nodes.viewer import ViewerNode
    from spowl_ros.ros import process

    arguments = ['--ros-args', '--enclave', NodeSpec('viewer', '', {}).enclave]
    for name, value in (('host', args.host), ('port', args.port), ('token', args.token),
                        ('open_browser', not args.no_browser)):
        if value != '':
            arguments += ['-p', f'{name}:={json.dumps(value)}']  # which YAML reads as well
    return process.run(ViewerNode, arguments)


def _show_bag(args: argparse.Namespace) -> int:
    """Show a recording."""
    from spowl_ros.bags.reader import Bag
    from spowl_ros.view.recording import BagFrames

    with Bag(args.bag) as bag:
        frames = BagFrames(bag, args.namespace)
        for line in bag.damage:
            print(f'NOTE {line}')
    if args.rerun is not None:
        from spowl_ros.view.rerun_file import write

        write(frames, Path(args.rerun))
        print(f'{len(frames.moments)} decisions are in {args.rerun}; open it with: '
              f'rerun {args.rerun}')
        return 0

    from spowl_ros.view.player import play

    play(frames, args.host, args.port, args.token, not args.no_browser)
    return 0
