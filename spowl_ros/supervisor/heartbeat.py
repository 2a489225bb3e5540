# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The e-stop topic: a stop that is said, or one whose sender is no longer heard."""

from __future__ import annotations


class Heartbeat:
    """
    Judge what an e-stop says, and its silence once it has been heard.

    :param timeout: seconds of a steady clock without a message that are a stop
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._pressed = False
        self._heard: float | None = None

    def hear(self, pressed: bool, now: float) -> None:
        """Take a message: whether the robot is to stop."""
        self._pressed, self._heard = pressed, now

    def complaint(self, now: float) -> str:
        """Return why the robot must stand, or an empty text; never heard is no reason."""
        if self._heard is None:
            return ''
        if self._pressed:
            return 'the e-stop is pressed'
        if not now - self._heard <= self.timeout:
            return f'the e-stop was not heard for more than {self.timeout:g} s'
        return ''
