# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Explain the figures of a replay in sentences."""

from __future__ import annotations

from typing import Any

WELL, LITTLE = 0.6, 0.3
"""Least rank correlations at which predictions separate situations well, and a little."""


def findings(measured: dict[str, Any]) -> list[str]:
    """
    Return what the controller would have done, and whether its predictions were right.

    :param measured: what `measure` returned
    """
    return [*_actions(measured), *_predictions(measured), *_warnings(measured)]


def _actions(measured: dict[str, Any]) -> list[str]:
    """Describe what this controller would have done."""
    found = measured['divergence']
    if found is None:
        return ['There are no recorded decisions to compare these with.']
    if measured['identical']:
        return ['It decides as was recorded, bit for bit.']
    action = found['action']
    if action['first'] is None:
        return ['It acts as was recorded, and differs only in what it says of that, from '
                f'decision {measured["diverged_at"]} on.']
    made = ' and '.join(f'{name} = {value}' for name, value in measured['changes'].items())
    lines = [f'With {made or "this bundle"} it would have acted otherwise at '
             f'{action["decisions"]} of {measured["decisions"]} decisions, from decision '
             f'{action["first"]} on, by up to {action["max"]:.2g} where actions go from -1 to 1; '
             f'at {sum(found["sources"].values())} another source would have acted.']
    changes = [f'the {name} of what it does by {found[key]:+.2g}'
               for name, key in (('value', 'value'), ('cost value', 'cost_value')) if found[key]]
    if changes:
        lines.append(f'By its own prediction that changes {" and ".join(changes)} on average. '
                     'Rewards and costs below are still those of the recorded actions.')
    return lines


def _predictions(measured: dict[str, Any]) -> list[str]:
    """Say whether the predictions were right."""
    came = measured['alarm']['hits'] + measured['alarm']['misses'] > 0
    lines = [
        _prediction('cost value', measured['cost_value_calibration'], 'cautious', 'careless',
                    'more from less dangerous situations' if came else ''),
        _prediction('value', measured['value_calibration'], 'hopeful', 'modest',
                    'better from worse situations')]
    bound = measured['cost_value_calibration']['coverage']
    if bound['observed'] is not None:
        holds = 'holds' if bound['observed'] >= bound['wanted'] else 'does not hold'
        lines.append(f'The conformal bound of the cost value {holds}: {bound["observed"]:.1%} of '
                     f'the costs that followed stayed below it, {bound["wanted"]:.0%} were '
                     'wanted.')
    return lines


def _prediction(name: str, found: dict[str, Any], above: str, below: str, kinds: str) -> str:
    """
    Describe the error of a prediction, and whether it separates situations.

    :param above: word for a prediction that is too high; `below`: too low
    :param kinds: of situations; empty: the recording has nothing to separate them by
    """
    bias, rank = found['bias'], found['correlation']
    if bias is None:
        return f'Whether the {name} was right is not known: too little followed it.'
    line = (f'The {name} is {abs(bias):.2g} too {"high" if bias > 0.0 else "low"} on average '
            f'({above if bias > 0.0 else below})')
    if rank is None or not kinds:
        return f'{line}.'
    tells = ('tells' if rank >= WELL else 'hardly tells' if rank >= LITTLE else 'does not tell')
    return f'{line} and {tells} {kinds} (rank correlation {rank:.2f}).'


def _warnings(measured: dict[str, Any]) -> list[str]:
    """Describe the use of the alarms, and whether decisions were in time."""
    alarm, late = measured['alarm'], measured['latency_ms']['deadline_misses']
    costs = alarm['hits'] + alarm['misses']
    lines = []
    if measured['cost'] is not None and costs:
        lead = f', {alarm["lead_seconds"]:.2g} s before (median)' if alarm['hits'] else ''
        lines.append(f'Monitors warned of {alarm["hits"]} of {costs} costs{lead}; '
                     f'{alarm["false_alarms"]} alarms were false.')
    elif measured['cost'] is not None:
        lines.append('No cost came, so this says little about how well costs are foreseen; '
                     f'{alarm["false_alarms"]} alarms were false.')
    lines.append(f'Deadlines: {late} missed.')
    return lines
