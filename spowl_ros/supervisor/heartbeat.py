# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The e-stop topic: stops on a stop message, or when its sender is silent."""

from __future__ import annotations

_NOT_YET = 'an e-stop is there, and nothing was heard of it'


class Heartbeat:
    """
    Judges an e-stop's messages, and its silence.

    :param timeout: seconds of a steady clock without a message that count as a stop
    :param needed: whether the robot must stop as long as none was heard
    """

    def __init__(self, timeout: float, needed: bool = False) -> None:
        self.timeout = timeout
        self._needed = needed
        self._pressed = False
        self._doubt = ''
        self._heard: float | None = None
        self._known: float | None = None
        self._unheard = ''

    def look(self, known: bool, unheard: str, now: float) -> None:
        """Receive whether there is a sender, and why it cannot be heard, if it cannot."""
        self._unheard = unheard
        if not known:
            self._known = None
        elif self._known is None:
            self._known = now

    def hear(self, pressed: bool, now: float, doubt: str = '') -> None:
        """Receive a message: whether the robot must stop, and why it may be wrong, if it may."""
        self._pressed, self._heard, self._doubt = pressed, now, doubt

    def complaint(self, now: float) -> str:
        """Return why the robot must stop; empty if nothing says so, as without a sender."""
        if self._unheard:
            return f'an e-stop is not heard: {self._unheard}'
        if self._heard is None and self._needed:
            return 'no e-stop was heard, and this robot needs one'
        if self._heard is None:
            return (_NOT_YET if self._known is not None
                    and not now - self._known <= self.timeout else '')
        if self._pressed:
            return 'the e-stop is pressed'
        if self._doubt:
            return f'the e-stop has {self._doubt}'
        if not now - self._heard <= self.timeout:
            return f'the e-stop was not heard for more than {self.timeout:g} s'
        return ''

    def refusal(self, now: float) -> str:
        """Return why a release does not count; a sender must have been heard for it."""
        waits = self._known is not None and self._heard is None
        return self.complaint(now) or (_NOT_YET if waits else '')
