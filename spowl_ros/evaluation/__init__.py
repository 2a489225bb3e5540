# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What runs and recordings amount to: statistics, reports, pictures."""
