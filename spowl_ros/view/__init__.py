# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
A page in the browser that shows a running robot or a bag: scene, decisions, curves, buttons.

Knows nothing of ROS: `nodes.viewer` fills it from a running system, `bag` from a recording.
Imports `bags`, `control`, `drawing` and `base`; viser serves the page. Begin with `frame`.
"""
