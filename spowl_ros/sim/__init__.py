# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""SafetyGymnasium as a robot."""
