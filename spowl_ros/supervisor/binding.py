# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Binds a supervisor to one controller, which it knows by its publisher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Publisher:
    """A publisher of commands, as the middleware reports it."""

    gid: bytes
    """Unique identifier of the publisher."""
    node: str
    """Full name of its node; empty while not known."""


class Binding:
    """
    Binds to the first publisher of commands; once it is gone, accepts one with the same node name.

    This finds a second controller. It does not keep out a node that pretends to be the
    controller, since any node can choose any name; DDS security does that.
    """

    def __init__(self) -> None:
        self._bound: Publisher | None = None

    @property
    def bound(self) -> str:
        """Return the node that is obeyed; empty before the first command."""
        return self._bound.node if self._bound else ''

    def refusal(self, publishers: Sequence[Publisher], sender: bytes | None = None) -> str:
        """
        Return why nobody may command the robot now; empty if its controller may.

        :param publishers: all present publishers of commands
        :param sender: gid of the command's publisher, if the middleware reports it
        """
        if len(publishers) > 1:
            names = sorted(publisher.node or 'an unknown node' for publisher in publishers)
            return f'two controllers command the robot: {", ".join(names)}'
        if not publishers:  # the ROS graph learns of a publisher after its first message
            if self._bound is None and sender is not None:
                self._bound = Publisher(sender, '')
            return ('' if self._bound is None or sender == self._bound.gid
                    else f'a node commands the robot that is not its controller {self.bound}')
        only, = publishers
        if sender is not None and sender != only.gid:
            return f'a command from another one than {only.node or "the controller"}'
        if self._bound is None or only.gid == self._bound.gid or (
                only.node and only.node == self._bound.node):
            if self._bound is None or only.node:
                self._bound = only
            return ''
        return (f'{only.node or "an unknown node"} commands the robot, whose controller is '
                f'{self.bound or "another"}; restart the supervisor to change it')
