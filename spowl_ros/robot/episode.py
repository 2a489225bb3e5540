# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The topic that announces the beginning of an episode, before the episode's first measurement.

The message is a `std_msgs/Header` with the stamp of that measurement. The controller then resets
and forgets earlier measurements. Without this message no episode begins: after a silence, or a
clock that went back, the planner starts anew (`spowl_ros.control.controller.LEAP_PERIODS`), and
what the episode has spent of its budget stays spent.
"""

from __future__ import annotations

BEGIN_TOPIC = 'episode_begin'
BEGIN_TYPE = 'std_msgs/msg/Header'
