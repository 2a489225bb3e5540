# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Check, before a verb does anything, that the extras it needs are installed."""

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
    'rerun': (('rerun', 'rerun-sdk'),),
}
"""Extra or other dependency to the modules that prove it installed, each with its name."""
_ADVICE = {
    'ros': 'source a ROS 2 installation, or install it from wheels as README.md shows',
    'tasks': 'pip install --no-deps safety-gymnasium==1.0.0 gymnasium-robotics==1.2.2',
}
"""How to install what is not an extra: pip cannot resolve SafetyGymnasium's metadata."""
_SIMULATION = ('sim', 'tasks')
_NEEDS = {
    'calibrate': _SIMULATION, 'check --live': ('ros',), 'dataset': ('dataset',),
    'evaluate': _SIMULATION, 'evaluate --address': ('scale',), 'evaluate --device': ('train',),
    'export': ('train', *_SIMULATION), 'gate --address': ('scale',),
    'replay --address': ('scale',), 'replay --live': ('ros',), 'replay --report': ('report',),
    'robot': ('ros',), 'sign': ('sign',), 'sim': ('ros', *_SIMULATION),
    'sweep': ('scale', *_SIMULATION), 'top': ('ros',), 'train': ('train', *_SIMULATION),
    'verify --key': ('sign',), 'wrap': ('wrap',),
}
"""Verb, or verb and option, to what it needs; `view` needs what it is to show, and where."""


def require(verb: str, args: argparse.Namespace) -> None:
    """
    Make sure that everything a verb needs is installed.

    :raises SpowlError: something is missing; the message gives the command that installs it
    """
    for needing, extras in _NEEDS.items():
        name, _, option = needing.partition(' --')
        if name == verb and (not option or getattr(args, option)):
            for extra in extras:
                require_extra(extra)
    if verb == 'view':
        require_extra('view' if args.rerun is None else 'rerun')
        if args.bag is None:
            require_extra('ros')


def require_extra(extra: str) -> None:
    """
    Make sure that an extra is installed, and of ROS 2 that a node can start.

    :raises SpowlError: something is missing; the message gives the command that installs it
    """
    for module, name in _CONTENTS[extra]:
        if importlib.util.find_spec(module) is None:
            advice = _ADVICE.get(extra, f"pip install 'spowl_ros[{extra}]'")
            raise SpowlError(f'this needs {name}: {advice}')
    if extra == 'ros':
        environment.check()


def installed(extra: str) -> bool:
    """Whether an extra is installed."""
    return all(importlib.util.find_spec(module) for module, _ in _CONTENTS[extra])
