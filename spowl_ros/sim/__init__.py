# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Simulated tasks without ROS: observations, rewards and costs, step by step.

Imports `control` and `base`, but no ROS and no PyTorch. Begin with `environment`.
"""

import importlib.util
import os
from pathlib import Path


def _name_glfw() -> None:
    """
    Let the import of MuJoCo load the library that glfw's wheel brings, by its name.

    Else glfw starts a Python for each library that it finds, and asks it for the version. A Ctrl-C
    at that moment would show that process's traceback.
    """
    found = importlib.util.find_spec('glfw')
    if found is not None and found.origin is not None:
        library = Path(found.origin).parent / 'x11/libglfw.so'
        if library.exists():
            os.environ.setdefault('PYGLFW_LIBRARY', str(library))


_name_glfw()
