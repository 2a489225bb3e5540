# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The screen of `spowl top`."""

from __future__ import annotations

import math
import time

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from spowl_ros.base.statistics import latency_ms, shares
from spowl_ros.clients.spinning import spinning
from spowl_ros.clients.watcher import Picture, Watcher
from spowl_ros.control.decision import SILENT_S, SOURCES, Decision
from spowl_ros.ros.process import end_on_signals

COLOURS = {'plan': 'green', 'policy': 'cyan', 'monitor': 'yellow', 'stop': 'bold red',
           'operator': 'magenta'}
LEVELS = (('ok', 'green'), ('warning', 'yellow'), ('error', 'bold red'), ('stale', 'magenta'))
REFRESH_HZ = 5
DECISIONS = 10
"""Number of decisions that a single screen waits for."""


def show(namespace: str, seconds: float, once: bool) -> bool:
    """
    Show the screen for some seconds, until Ctrl-C, or once; return whether a controller was heard.

    :param once: show one screen as soon as a controller decides, or after those seconds
    """
    leaving = end_on_signals()
    console = Console()
    end = time.monotonic() + seconds
    with spinning(Watcher, namespace) as node:
        def waiting() -> bool:
            return time.monotonic() < end and not leaving.wait(1.0 / REFRESH_HZ)

        if once:
            while len(node.picture.arrivals) < DECISIONS and waiting():
                pass
            console.print(screen(node.picture, time.monotonic()))
        else:
            with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
                while waiting():
                    live.update(screen(node.picture, time.monotonic()), refresh=True)
    return node.picture.decision is not None


def screen(picture: Picture, now: float) -> RenderableType:
    """
    Return everything an operator wants to see at once.

    :param now: steady clock, seconds
    """
    parts: list[RenderableType] = [headline(picture, now)]
    decision = picture.decision
    if decision is not None:
        parts += [values(decision), monitors(decision)]
    parts += [interventions(picture), diagnostics(picture, now)]
    return Group(*parts)


def headline(picture: Picture, now: float) -> RenderableType:
    """Return mode, reason, rate and latency."""
    decision = picture.decision
    if decision is None:
        return Panel('waiting for a controller: no decision yet', title='spowl top')
    silence = now - picture.arrivals[-1]
    text = Text()
    if silence > SILENT_S:
        text.append(f'SILENT for {silence:.0f} s', 'bold red')
    else:
        text.append(decision.source.upper(), COLOURS[decision.source])
    if decision.reason:
        text.append_text(_plain(f'  {decision.reason}'))
    span = picture.arrivals[-1] - picture.arrivals[0]
    rate = (len(picture.arrivals) - 1) / span if span > 0.0 else 0.0
    latency = '  '.join(f'{name} {value:.1f}'
                        for name, value in latency_ms(picture.latencies).items())
    text.append(f'\n{picture.sources.total()} decisions, {rate:.1f} a second; latency {latency} '
                f'ms; {picture.misses} deadlines missed\n')
    for source, share in shares(picture.sources, SOURCES).items():
        text.append(f'{source} {share:.0%}   ', COLOURS[source])
    text.append('\nsupervisor: ')
    text.append_text(_plain(picture.supervisor or 'not heard',
                            LEVELS[min(picture.supervisor_level, len(LEVELS) - 1)][1]))
    return Panel(text, title='spowl top')


def values(decision: Decision) -> RenderableType:
    """Return actions, values and thresholds of the plan and of the policy."""
    table = _table('', 'action', 'value', 'cost value', 'model error', 'rounds')
    plan = decision.plan
    if plan is not None:
        table.add_row('plan', _numbers(plan.plan_action), _number(plan.plan_value),
                      _number(plan.plan_cost_value), _number(plan.model_error),
                      str(plan.iterations))
        table.add_row('policy', _numbers(plan.policy_action), _number(plan.policy_value),
                      _number(plan.policy_cost_value))
        table.add_row('wanted', '', f'>= {_number(plan.value_low)}',
                      f'<= {_number(plan.cost_value_high)}')
        table.add_row('threshold', f'{plan.counted:.0f} count',
                      f'>= {_number(plan.value_threshold)}', f'<= {_number(plan.cost_threshold)}')
    table.add_row('done', _numbers(decision.action), *([] if plan else 4 * ['-']))
    return table


def monitors(decision: Decision) -> RenderableType:
    """Return each monitor's reading; the staleness monitor's reason names the stale inputs."""
    table = _table('monitor', 'reads', 'limit', 'state')
    for reading in decision.readings:
        tripped = reading.monitor in decision.tripped
        state = reading.reason or ('tripped' if tripped else 'clear')
        table.add_row(_plain(reading.monitor), _number(reading.value), _number(reading.limit),
                      _plain(state, 'yellow' if tripped or reading.alarm else 'green'))
    return table


def interventions(picture: Picture) -> RenderableType:
    """Return the last changes of the source."""
    table = _table('time', 'source', f'why ({picture.interventions} interventions)')
    for when, source, reason in reversed(picture.events):
        table.add_row(time.strftime('%H:%M:%S', time.localtime(when)),
                      _plain(source, COLOURS.get(source, 'bold red')), _plain(reason))
    return table


def diagnostics(picture: Picture, now: float) -> RenderableType:
    """Return the last message of each part on /diagnostics."""
    table = _table('diagnostics', 'level', 'message')
    for name, (level, message, arrival) in sorted(picture.diagnostics.items()):
        stale = now - arrival > 3.0
        word, colour = LEVELS[-1] if stale else LEVELS[min(level, len(LEVELS) - 1)]
        table.add_row(_plain(name), Text(word, colour), _plain(message))
    return table


def _table(*columns: str) -> Table:
    return Table(*columns, expand=True, box=SIMPLE_HEAD)


def _plain(text: str, style: str = '') -> Text:
    """Return a text from outside: no markup, and no control characters for the terminal."""
    return Text(''.join(each if each.isprintable() else ' ' for each in text), style)


def _number(value: float) -> str:
    return f'{value:.3g}' if math.isfinite(value) else '-'


def _numbers(values: tuple[float, ...]) -> str:
    return ' '.join(f'{value:+.2f}' for value in values)
