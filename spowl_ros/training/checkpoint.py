# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Checkpoints: written whole or not at all, read without unpickling code.

`read_networks` reads those of a checkpoint or of a bundle.
"""
from __future__ import annotations

import importlib.metadata
import math
import os
from pathlib import Path
import platform
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import torch

from spowl_ros.base import settings
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.files import sync_directory
from spowl_ros.control import bundle as bundles
from spowl_ros.control.contract import Contract
from spowl_ros.sim import environment
from spowl_ros.training import config as configuration
from spowl_ros.training.networks import NetworkConfig, Networks


def origin() -> dict[str, str]:
    """Return what reproduces a run, apart from its configuration."""
    commit = 'unknown'
    if shutil.which('git'):
        git = subprocess.run(['git', '-C', str(Path(__file__).parent), 'rev-parse', 'HEAD'],
                             capture_output=True, text=True, check=False)
        commit = git.stdout.strip() or commit
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.exists() else []
    processor = next((line.partition(':')[2].strip() for line in lines
                      if line.startswith('model name')), platform.machine())
    return {'command': command(), 'commit': commit,
            'machine': f'{processor}, {os.cpu_count()} cores',
            'trained_with': f'spowl_ros {importlib.metadata.version("spowl_ros")}, '
                            f'torch {torch.__version__}, Python {platform.python_version()}'}


def command() -> str:
    """Return this process's command line."""
    return ' '.join(['spowl', *sys.argv[1:]])


def save(path: Path, content: dict[str, Any]) -> None:
    """
    Write, sync, rename: a reader sees the old file or the new one, never a part.

    :raises SpowlError: the file cannot be written; the old file is then intact
    """
    temporary = path.with_suffix('.part')
    try:
        with temporary.open('wb') as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        raise SpowlError(f'cannot write the checkpoint {path}: {error}; free some space and '
                         f'continue with --resume (the last good checkpoint is intact)') from error


def load(path: Path) -> dict[str, Any]:
    """
    Read a checkpoint onto the CPU.

    :raises SpowlError: it is missing or not a checkpoint
    """
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except FileNotFoundError as error:
        raise SpowlError(f'no checkpoint at {path}') from error
    except Exception as error:  # torch raises many exception types for a damaged file
        raise SpowlError(f'{path} is not a checkpoint that spowl train wrote, or is damaged'
                         + (f': {error}' if str(error) else '')) from error
    if not isinstance(content, dict) or 'config' not in content or not (
            'networks' in content or 'members' in content):
        raise SpowlError(f'{path} is not a checkpoint of this package')
    return content


def describe(path: Path) -> tuple[dict[str, Any], configuration.TrainConfig]:
    """Return the progress of a checkpoint's run, and its configuration."""
    content = load(path)
    return content['counters'], configuration.from_dict(content['config'])


def load_networks(path: Path) -> tuple[Networks, configuration.TrainConfig]:
    """Return a checkpoint's networks (in evaluation mode) and the run's configuration."""
    content = load(path)
    if 'networks' not in content:
        names = ', '.join(member['name'] for member in content['members'])
        raise SpowlError(f'{path} holds several learners; name the file best.pt of one in its '
                         f'directory, which are {names}')
    config = configuration.from_dict(content['config'])
    networks = Networks(config.networks)
    networks.load_state_dict(content['networks'])
    return networks.eval(), config


def read_networks(path: Path) -> tuple[Networks, Contract]:
    """
    Return the networks (in evaluation mode) of a checkpoint or of a bundle, and their contract.

    :raises SpowlError: neither, or damaged
    """
    if not path.is_dir():
        networks, config = load_networks(path)
        return networks, environment.contract(config.task, config.collect.action_repeat)
    bundle = bundles.load(path)
    return bundle_networks(bundle), bundle.contract


def bundle_networks(bundle: bundles.Bundle) -> Networks:
    """
    Return the networks of a bundle; target copies, which it lacks, equal the value networks.

    :raises SpowlError: its weights do not fit its networks, or it has no networks
    """
    if not bundle.plans:
        raise SpowlError(f'{bundle.directory} holds a policy of another library and no networks '
                         'of ours; only ONNX Runtime runs it')
    networks = Networks(settings.read(NetworkConfig, bundle.networks, 'networks'))
    content, state = bundle.content[bundles.WEIGHTS], {}
    for name, weight in bundle.weights.items():
        size = math.prod(weight.shape) // len(weight.offsets)
        members = [np.frombuffer(content, np.float32, size, at) for at in weight.offsets]
        state[name] = torch.from_numpy(np.concatenate(members).reshape(weight.shape))
    try:
        networks.load_state_dict({name: state.get(name.removeprefix('target_'), value)
                                  for name, value in networks.state_dict().items()} | state)
    except RuntimeError as error:
        raise SpowlError(f'{bundle.directory}: the weights are not those of its networks: '
                         f'{error}') from error
    return networks.eval()
