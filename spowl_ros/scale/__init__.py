# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
More than one machine: trainings, evaluations and bags as tasks of a Ray cluster.

`cluster` joins or starts Ray and has work done; nothing else here imports it. `sweep` plans runs
and `run` makes one of them, `episodes` spreads an evaluation, `bags` a replay. May import all
rooms but `cli` and those that need ROS. Begin with `cluster`.
"""
