# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The model card: the page to read before a bundle drives."""

from __future__ import annotations

from typing import Any

import numpy as np

from spowl_ros.control.bundle import Bundle

IDLE = 5.0
"""An episode that returns less hardly moved: a goal is worth 1 to 2."""


def model_card(bundle: Bundle) -> str:
    """Return Markdown on what a bundle is, how it was made and what was measured."""
    contract, settings, origin = bundle.contract, bundle.settings, bundle.provenance
    fields = '\n'.join(f'| {f.name} | {f.sensor} | {f.size} | {f.unit} |' for f in contract.fields)
    interface = f"""| field | sensor | values | unit |
|---|---|---|---|
{fields}

Action: {', '.join(contract.action.names)} ({contract.action.kind}), from
{list(contract.action.low)} to {list(contract.action.high)}"""
    if not bundle.plans:
        compared = origin['compared_with_its_library']
        return f"""# {contract.task}

A policy for {contract.robot}, decided every {contract.control_period:g} s. Another library has
trained it; it came as {origin['policy']} (SHA-256 {origin['policy_sha256']}), exported by
{origin['exported_by'] or 'an unknown program'}. There is no world model, no planner and no value:
monitors that judge those know nothing here.

{f'{compared} commands of that library are reproduced.' if compared else
 'Nothing was compared with what that library computes.'}

{interface}.
"""
    off = ('\nPlanning is off: the policy acts alone until the parameter `planner.kind` says '
           'otherwise.\n' if settings.kind == 'policy' else '')
    return f"""# {contract.task}

A latent planning controller for {contract.robot}: at each decision, every
{contract.control_period:g} s, it plans {settings.horizon} decisions ahead in the latent space of a
learned world model and acts on the plan where that is no worse and no less safe than its policy.
{off}
## Intended use
Control of the simulated robot of {contract.task}, or of a robot with the same observation,
action and period, behind the package's monitors and supervisor. Learned in simulation; nothing
here says how it behaves where the observations differ from those of the simulation.

## Observation
{interface}, each changing by at most
{contract.action.change:.0%} of its range from one decision to the next.

## Measured
{_measured(bundle.measured, bundle.settings.kind)}

## Made by
{_list(origin)}
"""


def _measured(measured: dict[str, Any] | None, kind: str) -> str:
    """
    Return a table of the evaluations, the failures of what ships, and the latency.

    :param kind: of the bundle's planner; without an evaluation of that name the first one ships
    """
    if not measured:
        return 'Nothing has been measured.'
    evaluations = measured.get('evaluations', {})
    if not evaluations:
        return _list(measured)
    ships = evaluations.get(kind) or next(iter(evaluations.values()))
    lines = [
        f"{ships['episodes']} episodes each, seeds from {ships['seeds'][0]}, 1000 raw steps; mean "
        'and 95 % bootstrap interval.', '',
        '| planner | return | cost | free of cost | actions by plan |', '|---|---|---|---|---|',
        *(f"| {name} | {_interval(figures['return'])} | {_interval(figures['cost'])} | "
          f"{figures['cost_free_fraction']:.0%} | "
          f"{figures['source_fraction'].get('plan', 0.0):.0%} |"
          for name, figures in evaluations.items()),
        '', *(f'{name}: {tails(figures)}' for name, figures in evaluations.items()
              if 'costs' in figures), '', f'Known failures: {failures(ships)}']
    if 'action_change' in ships:
        change = sum(ships['action_change']) / ships['episodes']
        lines += ['', 'From one decision to the next a command changes by '
                  f'{change / 2:.1%} of its range on average.']
    if 'latency_ms' in measured:
        lines += ['', 'Latency of a decision: ' + ', '.join(
            f'{name} {value:.1f} ms' for name, value in measured['latency_ms'].items()) + '.']
    if 'learning_curve' in measured:
        lines += ['', f"Learning curve: {measured['learning_curve']}"]
    return '\n'.join(lines)


def tails(figures: dict[str, Any]) -> str:
    """Describe the costliest episodes and the idle ones of an evaluation."""
    costs, returns = np.array(figures['costs']), np.array(figures['returns'])
    p95, p99 = np.percentile(costs, [95.0, 99.0])
    return (f'cost {p95:.1f} at the 95th percentile, {p99:.1f} at the 99th, {costs.max():g} in '
            f'the worst episode; {np.mean(returns < IDLE):.0%} of the episodes return less than '
            f'{IDLE:g}.')


def failures(figures: dict[str, Any]) -> str:
    """Describe the worst episodes of an evaluation (as `spowl evaluate` writes it)."""
    costs, returns, seeds = figures['costs'], figures['returns'], figures['seeds']
    costly = [(cost, seed) for cost, seed in zip(costs, seeds, strict=True) if cost > 0]
    low, where = min(zip(returns, seeds, strict=True))
    text = f'the lowest return was {low:.1f}, with seed {where}; '
    if not costly:
        return text + 'no episode had any cost.'
    most, where = max(costly)
    return text + (f'{len(costly)} of {len(costs)} episodes had some cost, the most {most:g}, '
                   f'with seed {where}.')


def _interval(values: dict[str, float]) -> str:
    return '{mean:.2f} [{low:.2f}, {high:.2f}]'.format(**values)


def _list(values: dict[str, Any]) -> str:
    return '\n'.join(f'- {name}: {value}' for name, value in values.items()
                     if not isinstance(value, dict)) or '-'
