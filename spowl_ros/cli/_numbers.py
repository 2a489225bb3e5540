# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Numbers on the command line, refused where no such number makes sense."""

from __future__ import annotations

import argparse
from collections.abc import Callable
import math
from typing import TypeVar

N = TypeVar('N', int, float)


def between(kind: Callable[[str], N], low: N, high: float = math.inf) -> Callable[[str], N]:
    """
    Return what argparse calls to read a number from low to high, both included.

    :param kind: int or float; infinity and not-a-number are refused
    """
    def read(text: str) -> N:
        try:
            if math.isfinite(number := kind(text)) and low <= number <= high:
                return number
        except ValueError:
            pass
        raise argparse.ArgumentTypeError(
            f'{text!r}, wanted {"an integer" if kind is int else "a number"} '
            + (f'of at least {low}' if math.isinf(high) else f'from {low} to {high}'))
    return read
