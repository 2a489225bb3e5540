# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A robot of one's own: how its topics become what a controller was trained on. No rclpy here."""
