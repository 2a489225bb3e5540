# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Find a gait for a legged robot by evolution: config/training/gaits/.

    python -m benchmarks.gait_search Ant --output Ant.yaml
    python -m benchmarks.gait_search Doggo --start config/training/gaits/Doggo.yaml --workers 2 \
        --output Doggo.yaml

Two searches with CMA-ES (Hansen, The CMA Evolution Strategy: A Tutorial, 2016). In the first a
clock gives the phase, nothing costs, and symmetric legs share their numbers. Then the phase is
fitted to the joints. The second search changes all numbers a little, under noise and among
obstacles that cost; with `--start` it is the only one. Each takes half an hour on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
import time
from typing import Any

import cma
import numpy as np
from numpy.typing import NDArray
import torch

from benchmarks import run_command
from spowl_ros.base import yaml
from spowl_ros.base.seeds import FIRST_TRAINING
from spowl_ros.control.contract import Contract
from spowl_ros.sim import environment
from spowl_ros.training.gait import SENSED, Avoidance, Gait, GaitConfig, load

Array = NDArray[np.float64]
SLOWEST_HZ, FASTEST_HZ = 0.5, 2.0
WALK_DECISIONS, STEER_DECISIONS = 100, 300
FALL = 5.0
"""Penalty on the return of a fall, which ends the episode; to steer, lying on its back is one."""
STEADY = 0.8
"""Least cosine of the body's tilt without a penalty."""
TILT = 1.0
"""Penalty of a decision for each unit of that cosine below."""
COST = 1.5
"""Penalty of a unit of cost on the return."""
NOISE = 0.1
"""Standard deviation of the noise on actions in the second search."""


@dataclass(frozen=True)
class Legs:
    """Maps a few numbers to a robot's strokes (A, 3, 3); see `GaitConfig.strokes`."""

    numbers: int
    strokes: Callable[[Array], Array]
    numbers_of: Callable[[Array], Array]
    """Gives the numbers back from strokes."""


def _ant(numbers: Array) -> Array:
    """
    Four equal legs, each a quarter of a turn on; the first three numbers are their phases.

    A leg's heading is counted from where it points, and ankles bend one way or the other.
    """
    phases = np.concatenate([[0.0], 2.0 * numbers[:3]])
    leg = numbers[3:].reshape(2, 3, 3)
    strokes = np.empty((4, 2, 3, 3))
    for index, (phase, bend) in enumerate(zip(phases, (1, -1, -1, 1), strict=True)):
        points = np.pi / 4 + index * np.pi / 2
        strokes[index] = _turned(points).T @ leg @ _turned(-phase)
        strokes[index, 1] *= bend
    return strokes.reshape(8, 3, 3)


def _ant_numbers(strokes: Array) -> Array:
    legs = strokes.reshape(4, 2, 3, 3).copy()
    for index, bend in enumerate((1, -1, -1, 1)):
        legs[index] = _turned(np.pi / 4 + index * np.pi / 2) @ legs[index]
        legs[index, 1] *= bend
    swings = legs[..., 1] + 1j * legs[..., 2]
    phases = [np.angle(np.vdot(swing, swings[0])) for swing in swings[1:]]
    return np.concatenate([np.array(phases) / 2.0, legs[0].ravel()])


def _doggo(numbers: Array) -> Array:
    """Legs 1 and 2 have numbers of their own; 4 and 3 mirror them, half a period later."""
    left = numbers.reshape(2, 3, 3, 3)
    right = np.diag([1, 1, -1]) @ left @ _turned(np.pi)
    legs = np.stack([left[0], left[1], right[1], right[0]])
    return legs.transpose(1, 0, 2, 3).reshape(12, 3, 3)  # by joint, then by leg


def _doggo_numbers(strokes: Array) -> Array:
    return strokes.reshape(3, 4, 3, 3)[:, :2].transpose(1, 0, 2, 3).ravel()


def _turned(angle: float) -> Array:
    """Return the matrix that maps (1, cos b, sin b) to (1, cos(b - angle), sin(b - angle))."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, cos, sin], [0, -sin, cos]])


LEGS = {'Ant': Legs(21, _ant, _ant_numbers), 'Doggo': Legs(54, _doggo, _doggo_numbers)}


class Walker:
    """A robot and the names of its joints; phase weights have their order."""

    def __init__(self, robot: str) -> None:
        self.robot = robot
        self.environment = environment.make(f'Safety{robot}Goal1-v0')
        self.contract: Contract = self.environment.contract
        self.names = [field.name for kind in SENSED for field in self.contract.fields
                      if field.sensor == kind] + ['offset']

    def gait(self, strokes: Array, weights: Array, avoidance: Avoidance) -> GaitConfig:
        """Return a gait: strokes (A, 3, 3), weights (names, 2)."""
        return GaitConfig(self.robot, 'goal_lidar', 'hazards_lidar', avoidance,
                          dict(zip(self.names, _short(weights), strict=True)),
                          dict(zip(self.contract.action.names, _short(strokes), strict=True)))

    def walk(self, strokes: Array, frequency: float, seed: int, noise: float = 0.0
             ) -> tuple[float, list[Array], list[float]]:
        """Drive by a clock; give back return, observations and phases."""
        gait = Gait(self.gait(strokes, np.zeros((len(self.names), 2)), Avoidance(0, 0, 1, 1)),
                    self.contract)
        observation = self.environment.reset(seed=seed)
        rng = np.random.default_rng(seed)
        total, phase = 0.0, 0.0
        action = np.zeros(self.contract.action.size)
        observations: list[Any] = []
        phases: list[float] = []
        for _ in range(WALK_DECISIONS):
            observations.append(observation)
            phases.append(phase)
            heading = gait.heading(torch.from_numpy(observation)[None])[0].double().numpy()
            wanted = strokes @ [1.0, np.cos(phase), np.sin(phase)] @ [1.0, *heading]
            action = self._within(wanted + noise * rng.standard_normal(len(wanted)), action)
            step = self.environment.step(action)
            observation = step.observation
            total += step.reward
            phase += 2.0 * np.pi * frequency * self.contract.control_period
            if step.terminated:
                return total - FALL, observations, phases
        return total, observations, phases

    def steer(self, config: GaitConfig, seed: int) -> float:
        """Drive by the gait alone; give the return minus penalties for cost, tilt and a fall."""
        gait = Gait(config, self.contract)
        observation = self.environment.reset(seed=seed)
        body = self.environment.body
        assert body is not None
        rng = np.random.default_rng(seed)
        total, action = 0.0, np.zeros(self.contract.action.size)
        for _ in range(STEER_DECISIONS):
            wanted = gait(torch.from_numpy(observation)[None])[0].double().numpy()
            action = self._within(wanted + NOISE * rng.standard_normal(len(wanted)), action)
            step = self.environment.step(action)
            observation = step.observation
            upright = body.upright()
            total += step.reward - COST * step.cost - TILT * max(STEADY - upright, 0.0)
            if step.terminated or upright < 0.0:
                return total - FALL
        return total

    def _within(self, action: Array, last: Array) -> Array:
        """Return an action as the contract lets it through after the last one."""
        return self.contract.action.held(np.clip(action, -1.0, 1.0), last)

    def phase_weights(self, strokes: Array, frequency: float) -> Array:
        """Fit cosine and sine of the clock's phase to the joints; return weights (names, 2)."""
        sensed, phases = [], []
        probe = Gait(self.gait(strokes, np.zeros((len(self.names), 2)), Avoidance(0, 0, 1, 1)),
                     self.contract)
        for seed in range(FIRST_TRAINING, FIRST_TRAINING + 40):
            _, observations, its_phases = self.walk(strokes, frequency, seed, noise=0.3)
            sensed.append(probe.sensed(torch.from_numpy(np.stack(observations))).double().numpy())
            phases += its_phases
        known = np.concatenate(sensed)
        wanted = np.stack([np.cos(phases), np.sin(phases)], axis=-1)
        return np.linalg.lstsq(np.column_stack([known, np.ones(len(known))]), wanted)[0]


def _short(values: Array) -> list[Any]:
    """Return numbers with four digits in nested lists, for readable files."""
    return np.vectorize(lambda value: float(f'{value:.4g}'))(values).tolist()


def _evolve(start: Array, steps: Array, score: Callable[[Array, int], float], episodes: int,
            options: argparse.Namespace) -> Array:
    """Return the centre of the search after some minutes; every generation has its own seeds."""
    strategy = cma.CMAEvolutionStrategy(np.zeros(len(start)), 0.4, {
        'seed': options.seed + 1, 'popsize': 20, 'verbose': -9, 'CMA_diagonal': len(start) > 100})
    rng = np.random.default_rng(options.seed)
    end = time.monotonic() + 60.0 * options.minutes
    # Forked: each worker has the walker and its simulation as they are.
    with get_context('fork').Pool(options.workers, _begin, (score,)) as pool:
        while time.monotonic() < end:
            seeds = FIRST_TRAINING + rng.integers(1 << 30, size=episodes)
            candidates = strategy.ask()
            tries = [(start + steps * candidate, int(seed))
                     for candidate in candidates for seed in seeds]
            scores = np.reshape(pool.starmap(_scored, tries, 1), (-1, episodes)).mean(axis=1)
            strategy.tell(candidates, -scores)
            print(f'generation {strategy.countiter}: mean {scores.mean():.2f}, '
                  f'best {scores.max():.2f}', flush=True)
    return start + steps * strategy.mean


_score: Callable[[Array, int], float]  # of a worker


def _begin(score: Callable[[Array, int], float]) -> None:
    global _score
    _score = score


def _scored(numbers: Array, seed: int) -> float:
    return _score(numbers, seed)


def search(options: argparse.Namespace) -> GaitConfig:
    """Return the gait found by both searches, or by the second one from a gait on."""
    walker, legs = Walker(options.robot), LEGS[options.robot]
    if options.start:
        begin = load(options.start)
        Gait(begin, walker.contract)  # refuses what is for another robot
        strokes = np.array(list(begin.strokes.values()))
        weights = np.array([begin.phase.get(name, (0.0, 0.0)) for name in walker.names])
        return refine(walker, legs, strokes, weights, begin.avoidance, options)

    def frequency(numbers: Array) -> float:
        return float(SLOWEST_HZ + (FASTEST_HZ - SLOWEST_HZ) / (1.0 + np.exp(-numbers[-1])))

    found = _evolve(
        np.zeros(legs.numbers + 1), np.ones(legs.numbers + 1),
        lambda numbers, s: walker.walk(legs.strokes(numbers[:-1]), frequency(numbers), s)[0],
        2, options)
    strokes = legs.strokes(found[:-1])
    weights = walker.phase_weights(strokes, frequency(found))
    return refine(walker, legs, strokes, weights, Avoidance(1.0, 1.0, 0.2, 0.2), options)


def refine(walker: Walker, legs: Legs, strokes: Array, weights: Array, avoidance: Avoidance,
           options: argparse.Namespace) -> GaitConfig:
    """Return the gait that the second search makes of strokes (A, 3, 3), weights (names, 2)."""

    def gait(numbers: Array) -> GaitConfig:
        own, rest = numbers[:legs.numbers], numbers[legs.numbers:]
        push, slide, reach = rest[-3:]
        return walker.gait(legs.strokes(own), rest[:-3].reshape(-1, 2), Avoidance(
            float(push), float(slide), avoidance.radius, float(np.exp(reach))))

    start = np.concatenate([legs.numbers_of(strokes), weights.ravel(), [
        avoidance.push, avoidance.slide, np.log(avoidance.reach)]])
    steps = np.concatenate([np.full(legs.numbers, 0.1), np.full(weights.size, 0.04),
                            [0.4, 0.4, 0.3]])
    return gait(_evolve(start, steps, lambda numbers, s: walker.steer(gait(numbers), s),
                        4, options))


def main() -> None:
    """Search and write the gait."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('robot', choices=sorted(LEGS))
    parser.add_argument('--output', type=Path, required=True)
    parser.add_argument('--start', type=Path, help='a gait to begin the second search with')
    parser.add_argument('--minutes', type=float, default=30.0, help='of each search')
    parser.add_argument('--workers', type=int, default=1, help='processes that walk')
    parser.add_argument('--seed', type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = search(arguments)
    content = {**vars(config), 'avoidance': vars(config.avoidance)}
    arguments.output.write_text(yaml.dump(content))


if __name__ == '__main__':
    run_command(main)
