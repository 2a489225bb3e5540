# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
From an observation to a decision, with numpy and ONNX Runtime and nothing else.

`Controller.decide` takes an `Observation` and returns a `Decision`; `loop` calls it in a thread.
Imports `base` only. Begin with `contract`, then `controller`.
"""
