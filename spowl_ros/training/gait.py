# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
A gait: legs swing together towards the goal, in a phase computed from the joints.

Random exploration does not find legged locomotion within the steps that a world model otherwise
needs. A gait of a few dozen numbers, found by `benchmarks.gait_search`, acts during the first
collection and then guides the policy, which soon acts alone. Like the policy, the gait is a
function of one observation, so it gives an action in any state.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from spowl_ros.base import yaml
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import read
from spowl_ros.control.contract import SCAN_RANGE, Contract

SENSED = ('joint_position', 'joint_velocity', 'contact_force')
"""Sensors that give the phase, in the order of `Gait.sensed`."""
_VELOCITY_LIMIT = 20.0
_UNDECIDED = 0.125
"""Mean sine of the angle from obstacles ahead to the goal below which neither side is better."""

Stroke = tuple[float, float, float]
"""Mean and amplitudes of the phase's cosine and sine."""


@dataclass(frozen=True)
class Avoidance:
    """How the heading bends around what costs."""

    push: float
    """Weight of the direction away from an obstacle that the robot touches, beside the goal's."""
    slide: float
    """Weight of the direction past obstacles on the way, all of them on the same side."""
    radius: float
    """Distance between centres, metres, at which an obstacle has its full weight."""
    reach: float
    """Metres beyond the radius over which an obstacle's weight falls to 1/e."""


@dataclass(frozen=True)
class GaitConfig:
    """A gait's numbers, by the names in the robot's contract."""

    robot: str
    goal: str
    """Scan of the goal."""
    obstacles: str
    """Scan of what costs."""
    avoidance: Avoidance
    phase: dict[str, tuple[float, float]]
    """
    Weights of a sensor's value in the phase's cosine and sine; a joint's angle in rad, its
    velocity in 10 rad/s, a force in N. The sensor `offset` is always 1.
    """
    strokes: dict[str, tuple[Stroke, Stroke, Stroke]]
    """Three for each actuator: for any heading, then what forward and left headings add."""


def load(path: Path) -> GaitConfig:
    """
    Read a gait.

    :raises SpowlError: the file cannot be read or is no gait
    """
    try:
        return read(GaitConfig, yaml.read(path, 'the file'))
    except SpowlError as error:
        raise SpowlError(f'no gait in {path}: {error}') from error


class Gait:
    """
    A gait for the observations of a task.

    :raises SpowlError: the gait is for another robot, or the task lacks a sensor that it needs
    """

    def __init__(self, config: GaitConfig, contract: Contract,
                 device: torch.device | str = 'cpu') -> None:
        if config.robot != contract.robot:
            raise SpowlError(f'a gait of {config.robot} cannot guide {contract.robot} '
                             f'({contract.task}); set guide.gait to one of its own')
        slices, sensors = contract.slices, {f.name: f.sensor for f in contract.fields}
        for names, kinds in (((config.goal, config.obstacles), ('scan',)),
                             ([name for name in config.phase if name != 'offset'], SENSED)):
            known = [name for name, sensor in sensors.items() if sensor in kinds]
            for name in names:
                if name not in known:
                    raise SpowlError(f'the gait needs {name!r}, which {contract.task} does not '
                                     f'have; it has {", ".join(known)}')
        if list(config.strokes) != list(contract.action.names):
            raise SpowlError(f'the gait moves {", ".join(config.strokes)}; {contract.task} has '
                             f'{", ".join(contract.action.names)}')

        tensor = partial(torch.tensor, dtype=torch.float32, device=device)
        self._goal, self._obstacles = slices[config.goal], slices[config.obstacles]
        weighed = [[name for name in config.phase if sensors.get(name) == kind] for kind in SENSED]
        # Tensors: PyTorch would copy a list to the device, which a CUDA graph cannot do.
        position, self._velocity, self._force = (
            torch.tensor([slices[name].start for name in names], dtype=torch.long, device=device)
            for names in weighed)
        self._sine, self._cosine = position, position + 1
        self._weights = tensor([config.phase[name] for names in weighed for name in names])
        self._offset = tensor(config.phase.get('offset', [0.0, 0.0]))
        self._strokes = tensor(list(config.strokes.values()))
        self._avoidance = config.avoidance
        sectors = self._goal.stop - self._goal.start
        angles = (torch.arange(sectors, device=device) + 0.5) * (2 * torch.pi / sectors)
        self._directions = torch.stack([angles.cos(), angles.sin()], dim=-1)

    def __call__(self, obs: Tensor) -> Tensor:
        """Return the gait's actions (N, A) in [-1, 1] for observations (N, O)."""
        ones = torch.ones(len(obs), 1, dtype=obs.dtype, device=obs.device)
        heading = torch.cat([ones, self.heading(obs)], dim=-1)
        phase = torch.cat([ones, _unit(self.sensed(obs) @ self._weights + self._offset)], dim=-1)
        return torch.einsum('adp,nd,np->na', self._strokes, heading, phase).clamp(-1.0, 1.0)

    def sensed(self, obs: Tensor) -> Tensor:
        """Return the phase's inputs (N, n): angles, then velocities, then forces."""
        return torch.cat([
            torch.atan2(obs[:, self._sine], obs[:, self._cosine]),
            obs[:, self._velocity].clamp(-_VELOCITY_LIMIT, _VELOCITY_LIMIT) / 10.0,
            obs[:, self._force]], dim=-1)

    def heading(self, obs: Tensor) -> Tensor:
        """Return where to go (N, 2), a unit vector in the robot's frame: forward and left."""
        avoidance, directions = self._avoidance, self._directions
        goal = _unit(obs[:, self._goal] @ directions)
        closeness = obs[:, self._obstacles]
        beyond = (SCAN_RANGE * (1 - closeness) - avoidance.radius).clamp(min=0.0)
        weight = torch.exp(-beyond / avoidance.reach) * (closeness > 0)
        ahead = (goal @ directions.T).clamp(min=0.0)
        blocking = weight * ahead
        goal_to_left = goal[:, 1:] * directions[:, 0] - goal[:, :1] * directions[:, 1]
        mean = ((blocking * goal_to_left).sum(dim=-1, keepdim=True)
                / blocking.sum(dim=-1, keepdim=True).clamp(min=1e-6))
        side = torch.tanh(mean / _UNDECIDED)
        left = torch.stack([-directions[:, 1], directions[:, 0]], dim=-1)
        return _unit(goal - avoidance.push * weight @ directions
                     + avoidance.slide * side * blocking @ left)


def _unit(vector: Tensor) -> Tensor:
    return vector / vector.norm(dim=-1, keepdim=True).clamp(min=1e-9)
