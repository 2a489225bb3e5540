# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Measurements behind every published figure; each module is a command."""

from __future__ import annotations

import argparse
from collections.abc import Callable
import sys
from typing import NoReturn

from spowl_ros.base.errors import report


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Run a command and end this process; an error is one line, as of `spowl`."""
    try:
        code = main()
    except (Exception, KeyboardInterrupt) as error:
        code = report(argparse.ArgumentParser().prog, error)  # as in its usage
    sys.exit(code)
