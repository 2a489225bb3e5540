# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Read saved networks from a checkpoint or a bundle."""
from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from spowl_ros.base import settings
from spowl_ros.base.errors import SpowlError
from spowl_ros.control import bundle as bundles
from spowl_ros.control.contract import Contract
from spowl_ros.sim import environment
from spowl_ros.training import checkpoint
from spowl_ros.training.networks import NetworkConfig, Networks


def read(path: Path) -> tuple[Networks, Contract]:
    """
    Return the networks (in evaluation mode) of a checkpoint or of a bundle, and their contract.

    :raises SpowlError: neither, or damaged
    """
    if not path.is_dir():
        networks, config = checkpoint.load_networks(path)
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
