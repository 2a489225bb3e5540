# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Find the package's own files: configuration, launch files, models, executables."""

from __future__ import annotations

from pathlib import Path
import sys

from spowl_ros.base.errors import SpowlError

PACKAGE = 'spowl_ros'


def share_directory() -> Path:
    """Return the folder of config/, launch/ and models/: as installed, else the source tree."""
    try:
        from ament_index_python.packages import get_package_share_directory

        return Path(get_package_share_directory(PACKAGE))
    except (ImportError, LookupError, OSError):  # OSError: no AMENT_PREFIX_PATH, no ROS sourced
        installed = Path(sys.prefix) / 'share' / PACKAGE
        return installed if installed.is_dir() else Path(__file__).resolve().parents[2]


def executable_path(name: str) -> Path:
    """
    Return the path of one of the package's executables.

    :raises SpowlError: the package is not installed
    """
    prefix = share_directory().parent.parent
    folders = (prefix / 'lib' / PACKAGE, Path(sys.executable).parent)
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise SpowlError(f"executable '{name}' is in none of {', '.join(map(str, folders))}; "
                     'install the package: pip install -e . or colcon build')
