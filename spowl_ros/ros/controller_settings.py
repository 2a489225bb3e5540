# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the controller's node besides the settings of the controller itself."""

from __future__ import annotations

from dataclasses import dataclass

from spowl_ros.base.settings import group, setting
from spowl_ros.control.operator import OperatorSettings
from spowl_ros.control.providers import CPU, PROVIDERS
from spowl_ros.robot.command import COMMAND_TYPES
from spowl_ros.ros.driver_settings import DriverSettings, priority
from spowl_ros.ros.succession import RollbackSettings


@dataclass(frozen=True)
class ControllerNodeSettings(DriverSettings):
    """What the controller's node needs beside the settings of the controller itself."""

    AT_RUN_TIME = ('model', 'rollback')
    model: str = setting('', 'directory of the bundle; a change while the node is active loads '
                             'the new bundle beside the old one, and it takes over between two '
                             'decisions')
    rate: float = setting(
        1.0, "speed of the node's clock relative to a steady clock: 1 on a robot, the real-time "
             'factor in a simulation; 0: lock-step, where each measurement is answered once and '
             'nothing is late', low=0.0, high=1000.0, read_only=True)
    deadline_fraction: float = setting(
        0.5, 'fraction of the control period within which a decision must be ready',
        low=0.01, high=1.0)
    steady_latency: bool = setting(
        True, 'delay each command until nearly all decisions would be ready, so that commands '
              'are as regular as the sensors; a stop is never delayed', read_only=True)
    priority: int = priority(40)
    decision_timeout: float = setting(
        3.0, 'seconds for one decision after which the process ends; the robot stops earlier, '
             'after two control periods, unless `rate` is 0', low=0.1, high=600.0, read_only=True)
    command_type: str = setting('Float64MultiArray', 'message type of `command`',
                                choices=tuple(COMMAND_TYPES))
    seed: int = setting(0, "seed of the planner's randomness", low=0)
    threads: int = setting(1, "threads of the planner's graphs", low=1, high=64)
    provider: str = setting(
        CPU, "where the planner's graphs run; what is not to be had, or does not reproduce the "
        "bundle's golden vectors, is replaced by the CPU with one line in the log",
        choices=tuple(PROVIDERS))
    observe_cost: bool = setting(
        False, 'subscribe to `cost`: a budget needs it, and the bound of the cost value follows '
               'it')
    rollback: RollbackSettings = group(RollbackSettings)
    operator: OperatorSettings = group(OperatorSettings)
    shadow_model: str = setting(
        '', 'directory of a second bundle of the same contract, which decides on the same '
            'observations, never drives, and publishes ~/shadow/decision; empty: none',
        read_only=True)
