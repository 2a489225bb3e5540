# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
A page in the browser that shows a running robot or a bag: scene, decisions, curves, buttons.

The room contains no ROS: `nodes.viewer` fills the page from a running system, `recording` from a
bag. Imports `bags`, `control`, `drawing` and `base`; viser serves the page. Begin with `frame`.
"""
