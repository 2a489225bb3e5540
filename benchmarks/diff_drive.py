# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Measure what a PointGoal1 model does on a wheeled robot with a laser, without ROS.

    python benchmarks/diff_drive.py models/SafetyPointGoal1-v0 --csv FILE

Uses the same controller and mathematics as `spowl robot` with config/robot/diff_drive.yaml, in
simulated time, so a busy machine changes nothing.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import astuple
from pathlib import Path

import numpy as np

from benchmarks import run_command
from spowl_ros.base.statistics import bootstrap
from spowl_ros.control import bundle
from spowl_ros.control.controller import Controller
from spowl_ros.control.observation import ObservationAssembler
from spowl_ros.control.settings import ControllerSettings
from spowl_ros.robot import adaptation
from spowl_ros.sim.diff_drive import ROBOT_RADIUS, DiffDriveWorld

STEP = 0.02
BEAMS = 360
SCAN_RANGE = 5.0
CONDITIONS = (
    ('adaptive', ROBOT_RADIUS, 'off'), ('adaptive', ROBOT_RADIUS + 0.1, 'off'),
    ('policy', ROBOT_RADIUS, 'off'), ('policy', ROBOT_RADIUS + 0.1, 'off'),
    *(('adaptive', ROBOT_RADIUS, level) for level in ('policy', 'monitor', 'stop')))
"""planner.kind; the adapter's robot_radius, metres; sensor_margin.rule.level."""
MEASURES = ('goals', 'collisions', 'near_share', 'plan_share')


def drive(model: bundle.Bundle, settings: ControllerSettings, seed: int, seconds: float,
          robot_radius: float) -> dict[str, float | str]:
    """Drive one world; return its figures."""
    contract = model.contract
    controller = Controller(model, settings, seed)
    assembler = ObservationAssembler(contract)
    world, point = DiffDriveWorld(seed), adaptation.PointDrive()
    accelerometer = adaptation.Accelerometer(0.05)
    hazards = contract.field('hazards_lidar')
    steps = round(contract.control_period / STEP)
    near = sources = 0
    decisions = int(seconds / contract.control_period)
    for index in range(decisions):
        now = index * contract.control_period
        x, y, heading = world.pose.tolist()
        hits = adaptation.laser_points(world.scan(BEAMS, SCAN_RANGE), -np.pi, 2 * np.pi / BEAMS,
                                       (0.0, 0.0, 0.0))
        parts = {
            **adaptation.sense_motion(accelerometer.update(now, world.speed, world.turn_rate),
                                      world.speed, world.turn_rate, heading),
            **adaptation.sense_obstacles(hits, hazards.hazard_radius or 0.0, robot_radius,
                                         hazards.size),
            **adaptation.sense_goal(tuple(world.goal), x, y, heading, hazards.size)}
        for name, values in parts.items():
            assembler.put(name, values, int(now * 1e9))
        observation = assembler.observe(int(now * 1e9))
        assert observation is not None, 'every field was just put'
        decision = controller.decide(observation)
        sources += decision.source == 'plan'
        for _ in range(steps):
            if decision.action == controller.stop_action:
                point.stop()
            else:
                thrust, turn = decision.action
                point.update(thrust, turn, STEP)
            world.step(point.speed, point.turn_rate, STEP)
        near += world.clearance() < 0.05
    return {'model': model.digest[:12], 'seed': seed, 'robot_radius': robot_radius,
            'planner': settings.planner.kind,
            'sensor_margin': settings.sensor_margin.rule.level, 'seconds': seconds,
            'goals': world.goals, 'collisions': world.collisions,
            'near_share': near / decisions, 'plan_share': sources / decisions}


def main() -> int:
    """Drive all worlds in each condition; print means and intervals."""
    parser = argparse.ArgumentParser(description='Measure a model on a wheeled robot.')
    parser.add_argument('model', type=Path)
    parser.add_argument('--worlds', type=int, default=10)
    parser.add_argument('--seconds', type=float, default=60.0)
    parser.add_argument('--csv', type=Path)
    args = parser.parse_args()
    model = bundle.load(args.model)
    rows = []
    for kind, radius, margin in CONDITIONS:
        settings = ControllerSettings(planner=model.settings).change(
            {'planner.kind': kind, 'sensor_margin.rule.level': margin})
        group = [drive(model, settings, seed, args.seconds, radius)
                 for seed in range(args.worlds)]
        rows += group
        print(f'{kind:8} robot_radius {radius:.2f} sensor_margin {margin:7}: ' + ', '.join(
            f'{key} {mean:.3g} [{low:.3g}, {high:.3g}]' for key in MEASURES
            for mean, low, high in [astuple(bootstrap([row[key] for row in group]))]),
            flush=True)
    if args.csv:
        args.csv.parent.mkdir(parents=True, exist_ok=True)
        with args.csv.open('w', newline='') as stream:
            table = csv.DictWriter(stream, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    return 0


if __name__ == '__main__':
    run_command(main)
