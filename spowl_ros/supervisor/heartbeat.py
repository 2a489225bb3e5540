# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The e-stop topic: stops on a stop message, or when its sender falls silent."""

from __future__ import annotations


class Heartbeat:
    """
    Judges an e-stop's messages, and its silence after the first one.

    :param timeout: seconds of a steady clock without a message that count as a stop
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._pressed = False
        self._doubt = ''
        self._heard: float | None = None
        self.unheard = ''
        """Why a sender cannot be heard, if there is one."""

    def hear(self, pressed: bool, now: float, doubt: str = '') -> None:
        """Receive a message: whether the robot must stop, and why it may be wrong, if it may."""
        self._pressed, self._heard, self._doubt = pressed, now, doubt

    def complaint(self, now: float) -> str:
        """Return why the robot must stop; empty if nothing says so, as without a sender."""
        if self.unheard:
            return f'an e-stop is not heard: {self.unheard}'
        if self._heard is None:
            return ''
        if self._pressed:
            return 'the e-stop is pressed'
        if self._doubt:
            return f'the e-stop has {self._doubt}'
        if not now - self._heard <= self.timeout:
            return f'the e-stop was not heard for more than {self.timeout:g} s'
        return ''
