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
import warnings
from xml.etree import ElementTree

import mujoco
import numpy as np

_LOCK = threading.Lock()


_get_field = dataclasses._get_field  # type: ignore[attr-defined]


@contextlib.contextmanager
def _replaced(module: ModuleType, name: str, value: object) -> Iterator[None]:
    """Give a name of a module another value while this runs."""
    original = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, original)


def _get_field_of_array(cls: type, name: str, *args: object) -> dataclasses.Field[object]:
    """Take numpy arrays as defaults, as dataclasses did before Python 3.11."""
    default = cls.__dict__.get(name)
    if isinstance(default, np.ndarray):
        setattr(cls, name, dataclasses.field(default_factory=lambda: default))
    return _get_field(cls, name, *args)


def import_safety_gymnasium() -> ModuleType:
    """
    Return the module ``safety_gymnasium``, imported quietly.

    :raises ImportError: it, or one of its dependencies, is not installed
    """
    # Gymnasium's notes about its newer versions help nobody here.
    with _LOCK, _replaced(dataclasses, '_get_field', _get_field_of_array), \
            warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
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
    def compile_model(xml: str) -> mujoco.MjModel:
        root = ElementTree.fromstring(xml)
        for assets in root.iter('asset'):
            for asset in [*assets.iter('texture'), *assets.iter('material')]:
                assets.remove(asset)
        for geom in root.iter('geom'):
            geom.attrib.pop('material', None)
        return mujoco.MjModel.from_xml_string(ElementTree.tostring(root, encoding='unicode'))

    stand_in = SimpleNamespace(MjModel=SimpleNamespace(from_xml_string=compile_model),
                               MjData=mujoco.MjData, mj_forward=mujoco.mj_forward)
    with _replaced(importlib.import_module('safety_gymnasium.world'), 'mujoco', stand_in):
        yield
