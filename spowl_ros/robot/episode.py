# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The beginning of an episode is a message on a topic, before its first measurement.

The message is a `std_msgs/Header` with the stamp of that measurement. Who decides then begins
anew and forgets what was measured before. A clock that leaps or goes back without it is a fault,
after which the controller begins anew as well (`spowl_ros.control.controller.LEAP_PERIODS`).
"""

from __future__ import annotations

BEGIN_TOPIC = 'episode_begin'
BEGIN_TYPE = 'std_msgs/msg/Header'
