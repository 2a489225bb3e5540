# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Trainings, evaluations and replays on several machines, as tasks of a Ray cluster.

`cluster` joins or starts Ray and runs tasks; no other module here imports Ray. `sweep` plans runs
and `run` does one of them; `episodes` distributes an evaluation, and `bags` a replay. Imports
`replay`, `training`, `evaluation`, `sim`, `bags`, `control` and `base`, but no ROS. Begin with
`cluster`.
"""
