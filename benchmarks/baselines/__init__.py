# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Other methods in our environment, by our protocol: python -m benchmarks.baselines TASK METHOD.

`__main__` is the command, `runs` trains one run after another and evaluates it, `methods` names
the methods. A method is a class with the interface `runs.Training`: those of OmniSafe are in
`omnisafe_methods` with their environments in `omnisafe_tasks`, ours in a file each.
"""
