# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The names of stages, tensors and knobs of the planner's graphs, for their writers and readers.

A tensor has the same name everywhere: a stage takes the outputs of earlier stages by name, and a
plan's values are recorded under their tensors' names. B is 1 on a robot; see `training.planner`
for the other letters.
"""

from __future__ import annotations

STAGES = ('encode', 'propose', 'improve', 'select')
ENCODE, PROPOSE, IMPROVE, SELECT = STAGES
POLICY = 'policy'
"""The one graph of a bundle of `spowl wrap`: observation in, action out."""
KINDS = (STAGES, (POLICY,))
"""The graphs that a bundle may have."""

OBSERVATION = 'observation'
"""(B, O), into encode or policy."""
WINDOW = 'window'
"""(B, K, O + A), into encode of networks with a window; see `control.window`."""

# Randomness
POLICY_NOISE = 'policy_noise'
"""(H, B, P, A) standard normal, into propose."""
PROPOSAL_TERMINAL = 'proposal_terminal'
"""(B, n, A) standard normal, into propose, which draws each candidate's last action from it."""
PROPOSAL_HEADS = 'proposal_heads'
"""(B, n, M) weights of the value heads, into propose, if each candidate draws its own."""
SAMPLE_NOISE = 'sample_noise'
"""(H, B, S, A) standard normal, into improve."""
SAMPLE_TERMINAL = 'sample_terminal'
SAMPLE_HEADS = 'sample_heads'
UNIFORM = 'uniform'
"""(B,) in [0, 1), into select, which draws the elite from it."""

# What one decision passes to the next
MEMORY_MEAN = 'memory_mean'
MEMORY_ELITES = 'memory_elites'
WARM = 'warm'
CARRIED_MEAN = 'carried_mean'
"""Output of select that becomes MEMORY_MEAN."""

# What a plan reports
LATENT = 'latent'
POLICY_ACTION = 'policy_action'
POLICY_NEXT = 'policy_next'
"""Latent predicted after the policy's action."""
ELITES = 'elites'
WEIGHTS = 'weights'
COUNTED = 'counted'
PLAN_ACTION = 'plan_action'
PLAN_NEXT = 'plan_next'
"""Latent predicted after the plan's action."""
IMPROVED = 'improved'
POLICY_NUMBERS = ('policy_value', 'policy_cost_value', 'value_low', 'cost_value_high')
"""Outputs of encode, (B,), that a plan reports under their own names,"""
PLAN_NUMBERS = ('plan_value', 'plan_cost_value', 'value_threshold', 'cost_threshold', COUNTED)
"""and those of improve and select, which are known only of a plan that was improved."""

NEXT = 'next_'
"""Prefix of an improvement's outputs that are inputs of the next one."""
POOL = 'pool_'
"""Prefix of the names of the candidates and their values."""
KNOB = 'knob.'
"""Prefix of the inputs, (1,), for settings that may change at run time."""

PACKED_KNOBS = 'knobs'
"""The input, (12,), of all knobs in graphs of schema 2,"""
PACKED_ORDER = ('adaptive', 'threshold', 'switch', 'temperature', 'min_std', 'max_std',
                'first_std', 'warm_std', 'interval_width', 'cost_threshold', 'cost_budget',
                'cost_weight')
"""in this order."""
SCHEMA_2_NAMES = {
    'value': 'policy_value', 'cost': 'policy_cost_value', 'cost_low': 'cost_value_low',
    'cost_high': 'cost_value_high', 'seed': 'fill', 'cost_limit': 'cost_threshold',
    'value_floor': 'value_threshold', 'count': COUNTED, 'planned': PLAN_ACTION,
    'planned_next': PLAN_NEXT, 'planned_value': 'plan_value', 'planned_cost': 'plan_cost_value'}
"""Tensor names in graphs of schema 2 to the present names, where they differ."""
