# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Turns an observation into a decision, with only numpy and ONNX Runtime.

`Controller.decide` takes an `Observation` and returns a `Decision`; `loop` calls it in a thread.
Imports `base` only. Begin with `contract`, then `controller`.
"""
