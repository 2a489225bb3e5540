# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Start networks from a checkpoint or a bundle, perhaps of another task.

The encoder's weights for an observation field go to the field of the same name. Fields that only
the new task has, and a window that only the new networks have, start with zero weights. The
commands and all other sizes must agree.
"""
from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import Contract
from spowl_ros.training import checkpoint
from spowl_ros.training.networks import NetworkConfig, Networks

FIRST_LAYER = 'encoder.layers.0.weight'


def start_from(path: Path, networks: Networks, contract: Contract) -> None:
    """
    Copy the weights of other networks into these.

    :param path: a checkpoint, or the directory of a bundle
    :param contract: of the task of `networks`
    :raises SpowlError: no networks there, or networks of other sizes or for other commands
    """
    theirs, their_contract = checkpoint.read_networks(path)
    if their_contract.action.names != contract.action.names:
        raise SpowlError(
            f'the networks of {path} command {", ".join(their_contract.action.names)}, those of '
            f'{contract.task} {", ".join(contract.action.names)}; start from a model of the same '
            'robot')
    ours = {name: value.cpu() for name, value in networks.state_dict().items()}
    given = theirs.state_dict()
    given[FIRST_LAYER] = _by_name(
        given[FIRST_LAYER], _inputs(theirs, their_contract),
        ours[FIRST_LAYER], _inputs(networks, contract))
    for name, fresh in (('features.mean', 0.0), ('features.scale', 1.0)):
        given[name] = _by_name(given[name], _fields(their_contract),
                               torch.full_like(ours[name], fresh), _fields(contract))
    differing = [f'{name} is {list(given[name].shape)}, wanted {list(value.shape)}'
                 for name, value in ours.items() if given[name].shape != value.shape]
    if differing:
        raise SpowlError(f'the networks of {path} do not fit this configuration: {differing[0]}; '
                         'start from another model or change networks.* accordingly')
    networks.load_state_dict(given)


def _fields(contract: Contract) -> list[object]:
    """Return a name for each value of an observation."""
    return [(field.name, i) for field in contract.fields for i in range(field.size)]


def _inputs(networks: Networks, contract: Contract) -> list[object]:
    """Return a name for each input of the encoder: the present, then the rows of the window."""
    seen = _features(networks.config, contract)
    names: list[object] = list(seen)
    for row in range(networks.config.window):
        names += [(row, name) for name in (*seen, *contract.action.names)]
    return names


def _features(config: NetworkConfig, contract: Contract) -> list[object]:
    """Return a name for each value of `Features.forward`."""
    names = _fields(contract)
    at = {contract.slices[field.name].start: field.name for field in contract.fields}
    scans = [(at[a], b - a) for a, b in config.scan_slices]
    scans += [(f'{at[a]} without {at[c]}', b - a) for a, b, c in config.wanted_scans]
    if config.proximity_scale:
        names += [('proximity', name, i) for name, size in scans for i in range(size)]
        names += [('nearest', distance, name)
                  for distance in config.nearest_distances for name, _ in scans]
    return names


def _by_name(source: Tensor, source_names: list[object], fresh: Tensor,
             names: list[object]) -> Tensor:
    """Return the columns of `source` in the order of `fresh`; a matrix's new columns are zero."""
    place = {name: i for i, name in enumerate(source_names)}
    result = torch.zeros_like(fresh) if fresh.dim() > 1 else fresh.clone()
    if source.shape[:-1] != result.shape[:-1]:
        return source  # the caller compares the shapes
    known = [i for i, name in enumerate(names) if name in place]
    result[..., known] = source[..., [place[names[i]] for i in known]]
    return result
