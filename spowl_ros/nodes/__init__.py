# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The executables, one file each. A node converts messages to values, and values to messages.

A file's `NODE` is the class that its executable runs.

Imports every room below, never `cli`, `clients`, `scale` or `system`. Begin with `controller`.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from pathlib import Path
import signal
import sys
from types import FrameType
from typing import NoReturn

from spowl_ros.base.environment import check, prepare, signals_to_end
from spowl_ros.base.errors import SpowlError, crash, to_line


def main() -> NoReturn:
    """
    Run the node that this process's executable is named after, and end the process.

    The first signal to end stops the start of the node; once it runs, it handles signals itself.
    The process skips Python's own cleanup, during which a second Ctrl-C would kill it: the node
    has already closed everything.
    """
    told: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        told.append(number)
        if len(told) == 1:  # `ros2 launch` passes on a Ctrl-C that its nodes have had already
            raise KeyboardInterrupt

    for number in signals_to_end():
        signal.signal(number, interrupt)
    code = run()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def run() -> int:
    """
    Run the node that this process's executable is named after; return the exit code.

    It prints any error before the node runs, as a missing library, as one line.
    """
    try:
        prepare()
        check()
        node = importlib.import_module(f'spowl_ros.nodes.{Path(sys.argv[0]).stem}').NODE
        from spowl_ros.ros import process  # it needs rclpy, as the node does

        return process.run(node)
    except SpowlError as error:
        print(to_line(error), file=sys.stderr)
    except ImportError as error:
        print(to_line(f'{error}; install what is missing, or source the ROS 2 installation that '
                      'this package was built with'), file=sys.stderr)
    except KeyboardInterrupt:
        return 0
    except Exception as error:
        print(to_line(crash(error)), file=sys.stderr)
    return SpowlError.EXIT_CODE
