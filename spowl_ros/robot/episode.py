# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The topic that announces the beginning of an episode, before the episode's first measurement.

The message is a `std_msgs/Header` with the stamp of that measurement. The controller then resets
and forgets earlier measurements. A clock that leaps or goes back without this message is a fault;
the controller resets then as well (`spowl_ros.control.controller.LEAP_PERIODS`).
"""

from __future__ import annotations

BEGIN_TOPIC = 'episode_begin'
BEGIN_TYPE = 'std_msgs/msg/Header'
