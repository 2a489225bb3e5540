# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Runtime monitors, the arbiter that they steer, and their calibration."""
