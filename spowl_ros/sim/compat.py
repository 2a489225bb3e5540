# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Import SafetyGymnasium on a current Python.

Safety-Gymnasium 1.0.0 has dataclass fields whose default is a numpy array. Since Python 3.11
dataclasses refuse unhashable defaults, so the import fails. While the import runs, such fields get
a default factory instead. The factory returns the same array that the default would be.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
import importlib
import io
import os
import threading
from types import ModuleType, SimpleNamespace
from typing import Any
import warnings
from xml.etree import ElementTree

import mujoco
import numpy as np

_LOCK = threading.Lock()


@contextlib.contextmanager
def _array_defaults_allowed() -> Iterator[None]:
    """Let dataclasses take numpy arrays as defaults, as they did before Python 3.11."""
    original = dataclasses._get_field  # type: ignore[attr-defined]

    def get_field(cls: type, name: str, *args: object) -> dataclasses.Field[object]:
        default = cls.__dict__.get(name)
        if isinstance(default, np.ndarray):
            setattr(cls, name, dataclasses.field(default_factory=lambda: default))
        return original(cls, name, *args)

    dataclasses._get_field = get_field  # type: ignore[attr-defined]
    try:
        yield
    finally:
        dataclasses._get_field = original  # type: ignore[attr-defined]


def import_safety_gymnasium() -> ModuleType:
    """
    Return the module ``safety_gymnasium``, imported quietly.

    :raises ImportError: it, or one of its dependencies, is not installed
    """
    # Gymnasium's notes about its newer versions help nobody here.
    with _LOCK, _array_defaults_allowed(), warnings.catch_warnings(), \
            contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter('ignore')
        os.environ.setdefault('PYGAME_HIDE_SUPPORT_PROMPT', '1')
        module = importlib.import_module('safety_gymnasium')
    return module


@contextlib.contextmanager
def untextured() -> Iterator[None]:
    """
    Let SafetyGymnasium compile its worlds without textures while this runs.

    Decoding the pictures of sky and floor takes nine tenths of a world's compilation. The pictures
    hold tens of megabytes in each process and serve only rendering.
    """
    world: Any = importlib.import_module('safety_gymnasium.world')

    def compile_model(xml: str) -> mujoco.MjModel:
        root = ElementTree.fromstring(xml)
        for assets in root.iter('asset'):
            for asset in [*assets.iter('texture'), *assets.iter('material')]:
                assets.remove(asset)
        for geom in root.iter('geom'):
            geom.attrib.pop('material', None)
        return mujoco.MjModel.from_xml_string(ElementTree.tostring(root, encoding='unicode'))

    original = world.mujoco
    world.mujoco = SimpleNamespace(
        MjModel=SimpleNamespace(from_xml_string=compile_model),
        MjData=mujoco.MjData, mj_forward=mujoco.mj_forward)
    try:
        yield
    finally:
        world.mujoco = original
