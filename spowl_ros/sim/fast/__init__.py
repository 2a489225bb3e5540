# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
SafetyGymnasium's tasks simulated again, several times faster and with equal results.

Begin with `simulation`.
"""
