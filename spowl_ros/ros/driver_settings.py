# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters that controller and supervisor share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from spowl_ros.base.settings import setting


@dataclass(frozen=True)
class DriverSettings:
    """What both need: the bundle, who must have signed it, and the robot."""

    AT_RUN_TIME: ClassVar[tuple[str, ...]] = ()
    """Fields that can change once the node is configured."""

    model: str = setting('', 'directory of the bundle')
    require_signature: str = setting(
        '', 'public key (PEM) of the signature that a bundle must have, checked before the '
            'bundle is parsed; empty: no signature is required')
    robot: str = setting('', "YAML file of the robot's topics, units and limits; empty: those of "
                         'the contract', read_only=True)
    autostart: bool = setting(False, 'configure and activate at once', read_only=True)

    def needs_configure(self, now: Self) -> bool:
        """Whether these differ from the present ones in what takes effect at configure only."""
        return replace(self, **{name: getattr(now, name) for name in self.AT_RUN_TIME}) != now


def priority(default: int) -> Any:
    """Declare the real-time priority of a node; the supervisor's is above the controller's."""
    return setting(
        default, 'real-time priority (SCHED_FIFO) of the whole process where `rate` is not 0 and '
        'the system allows it; 0: ordinary', low=0, high=90, read_only=True)
