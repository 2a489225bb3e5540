# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""All figures of a replay, ready for JSON."""

from __future__ import annotations

from collections import Counter
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from spowl_ros.base.settings import declared
from spowl_ros.base.statistics import latency_ms, mean, number, percentiles, shares
from spowl_ros.control.decision import SOURCES
from spowl_ros.replay.alarms import foreseeing, judge_alarms
from spowl_ros.replay.foresight import coverage, episode_bounds, foresight

if TYPE_CHECKING:
    from spowl_ros.control.monitors.budget import BudgetSettings
    from spowl_ros.replay.replay import Replay
    from spowl_ros.replay.trace import Trace


def measure(replay: Replay) -> dict[str, Any]:
    """
    Return all figures of a replay.

    Predictions and alarms come from the replayed decisions. Rewards and costs come from the
    record. Times come from the machine that recorded, if it recorded decisions.
    """
    trace, live, planner = driving(replay), driving(replay, live=True), replay.settings.planner
    episodes = [(one.episode_return, one.cost) for one in replay.episodes] or [
        (float(live.reward[start:end].sum()), float(live.cost[start:end].sum()))
        for start, end in episode_bounds(live.episode)]
    window = replay.settings.cost_value.window
    cost_value = foresight(trace, 'cost_value', planner.cost_discount).to_dict()
    cost_value['coverage'] = {
        'wanted': replay.settings.cost_value.coverage, 'window': window,
        'observed': coverage(trace, planner.cost_discount, window)}
    return {
        'bag': str(replay.bag),
        'task': replay.task,
        'seconds': float(trace.time[-1]),
        'bundle_sha256': replay.bundle_sha256,
        'same_bundle': replay.same_bundle,
        'other_bundles': {str(index): digest for index, digest in replay.other_bundles.items()},
        'other_robot': replay.other_robot,
        'settings': {entry.name: entry.default for entry in declared(replay.settings)},
        'changes': replay.changes,
        'damage': list(replay.damage),
        'decisions': len(replay.replayed),
        'stops_after_end': replay.stops_after_end,
        'decisions_without_inputs': replay.without_inputs,
        'decisions_without_past': 0 if replay.recorded is None else int(np.sum(~replay.compared)),
        'policy_compared': int(replay.policy_compared.sum()),
        'policy_differences': len(replay.policy_differences),
        'identical': replay.identical,
        'diverged_at': replay.diverged_at,
        'compared_from': int(replay.compared.argmax()) if replay.compared.any() else None,
        'divergence': divergence(replay) if replay.compared.any() else None,
        'return': number(float(np.mean([episode_return for episode_return, _ in episodes]))),
        'cost': number(float(np.mean([cost for _, cost in episodes]))),
        'episodes': [{'return': number(episode_return), 'cost': number(cost)}
                     for episode_return, cost in episodes],
        'value_calibration': foresight(trace, 'value', planner.discount).to_dict(),
        'cost_value_calibration': cost_value,
        'budget': _budget(trace, replay.settings.budget),
        'model_error': _numbers(percentiles(trace.plan['model_error'])),
        'alarm': {**judge_alarms(trace).to_dict(), 'by_monitor': {
            monitor: judge_alarms(trace, (monitor,)).to_dict()
            for monitor in foreseeing() if monitor in trace.alarms}},
        'source_fraction': source_fraction(trace),
        'switches': switches(trace),
        'latency_ms': {**_numbers(latency_ms(live.seconds)),
                       'deadline_misses': int(live.deadline_missed.sum())},
    }


def driving(replay: Replay, live: bool = False) -> Trace:
    """
    Return the decisions of a replay, without the stops after the robot had gone.

    :param live: return the recorded decisions, if there are any, instead of the replayed ones
    """
    trace = replay.replayed if replay.recorded is None or not live else replay.recorded
    # If all decisions are such stops, return them unchanged.
    count = len(trace) - replay.stops_after_end or len(trace)
    return trace.select(np.arange(len(trace)) < count)


def remarks(measured: dict[str, Any]) -> list[str]:
    """Return sentences that one needs to read the figures of `measure` correctly."""
    lines = list(measured['damage'])
    if measured['same_bundle'] is False:
        lines.append('the bag was made with another bundle')
    lines += [f'from decision {index} on the bag was made with bundle {digest}, which took over '
              'under way; give its directory with --successor'
              for index, digest in measured['other_bundles'].items()]
    if measured['other_robot']:
        lines.append(f'the bag was made with the robot of {measured["other_robot"]}; give its '
                     'file with --robot')
    if measured['cost'] is None:
        lines.append('no costs were recorded, or one was no number; what the alarms were worth is '
                     'not known')
    if count := measured['decisions_without_inputs']:
        lines.append(f'the bag lacks inputs of {count} decisions; these were made with others')
    if count := measured['decisions_without_past']:
        begin = measured['compared_from']
        lines.append(
            f'{count} decisions are not compared: the bag lacks earlier ones, or inputs, on which '
            'their plans were built; '
            + ('no episode begins in it' if begin is None
               else f'comparison begins at decision {begin}'))
        if exact := measured['policy_compared']:
            differing = measured['policy_differences']
            lines.append(f"of {exact} of these the policy's action and values can be compared, "
                         'for the bag holds all that the encoder reads: '
                         + (f'{differing} differ' if differing else 'all identical'))
    if measured['changes'] and measured['identical']:
        lines.append(f'{", ".join(measured["changes"])} made no difference to any decision')
    return lines


def divergence(replay: Replay) -> dict[str, Any]:
    """Return the differences between recorded and replayed decisions."""
    assert replay.recorded is not None  # the caller checks this
    recorded, replayed = (trace.select(replay.compared)
                          for trace in (replay.recorded, replay.replayed))
    changed = recorded.source != replayed.source
    pairs = Counter(f'{SOURCES[before]} to {SOURCES[after]}' for before, after in zip(
        recorded.source[changed], replayed.source[changed], strict=True))
    action = np.abs(recorded.action - replayed.action).max(axis=1)
    others = np.flatnonzero(replay.compared)[action > 0.0]
    return {
        'decisions': len(replay.differences),
        'parts': dict(Counter(itertools.chain(*replay.differences.values())).most_common()),
        'sources': dict(pairs.most_common()),
        'action': {'decisions': len(others), 'first': int(others[0]) if len(others) else None,
                   'mean': float(action.mean()), 'max': float(action.max())},
        **{quantity: number(mean(replayed.executed(quantity) - recorded.executed(quantity)))
           for quantity in ('value', 'cost_value')},
    }


def _budget(trace: Trace, settings: BudgetSettings) -> dict[str, float | None] | None:
    """Return what episodes spent of their budget, and how often its bound held; None without."""
    if not settings.limit:
        return None
    said = np.flatnonzero(~np.isnan(trace.budget['spent']))  # a stop does not say it
    ends = said[[end - 1 for _, end in episode_bounds(trace.episode[said])]]
    if not len(ends):
        return None
    spent = trace.budget['spent'][ends]
    return {'limit': settings.limit, 'spent': number(float(spent.mean())),
            'left': number(float(trace.budget['left'][ends].mean())),
            'exceeded': int(np.sum(spent > settings.limit)),
            'coverage': number(float(trace.budget['coverage'][ends[-1]])),
            'wanted': settings.coverage}


def _numbers(values: dict[str, float]) -> dict[str, float | None]:
    return {name: number(value) for name, value in values.items()}


def source_fraction(trace: Trace) -> dict[str, float]:
    """Return the fraction of decisions by source."""
    return shares(Counter(SOURCES[source] for source in trace.source), SOURCES)


def switches(trace: Trace) -> dict[str, int]:
    """Return how often one source followed another within an episode, by the two names."""
    counts: Counter[str] = Counter()
    for start, end in episode_bounds(trace.episode):
        counts.update(f'{SOURCES[before]} to {SOURCES[after]}'
                      for before, after in itertools.pairwise(trace.source[start:end].tolist())
                      if before != after)
    return dict(counts.most_common())
