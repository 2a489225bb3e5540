# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that commands write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spowl_ros.base.files import check_writable as check_writable
from spowl_ros.base.files import write_whole


def write_json(path: str | Path, data: dict[str, Any]) -> None:
    """
    Write a JSON file, whole or not at all.

    :raises SpowlError: the file cannot be written
    """
    write_whole(path, (json.dumps(data, indent=2, allow_nan=False) + '\n').encode())
