# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Safe planning with world models for ROS 2: learn offline, plan in latent space, drive safely."""
