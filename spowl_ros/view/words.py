# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The page's texts and tables for a frame (Markdown and HTML)."""

from __future__ import annotations

from collections.abc import Sequence
import html
import math
import re

from spowl_ros.control.decision import SILENT_S
from spowl_ros.drawing.picture import SOURCE_COLOURS
from spowl_ros.view.frame import Frame

_MARKUP = re.compile(r"[^\w\s.,;:()%+/='-]|_")
ERROR = 2
LEVELS = ('ok', 'warning', 'error', 'stale')
MEANING = {
    'operator': 'a person drives', 'plan': 'the plan acts', 'policy': 'the policy acts',
    'monitor': 'a monitor acts', 'stop': 'the robot is stopped'}


def acting(frame: Frame) -> str:
    """Return the source that moves the robot: 'stop' where the supervisor has stopped it."""
    if frame.decision is None or (frame.supervisor is not None
                                  and frame.supervisor.level >= ERROR):
        return 'stop'
    return frame.decision.source


def headline(frame: Frame) -> str:
    """Return the acting source and the reason, as HTML."""
    decision = frame.decision
    if decision is None:
        return _badge('no decision yet', (120, 120, 120))
    if frame.silence > SILENT_S:
        return _badge(f'no decision for {frame.silence:.0f} s', SOURCE_COLOURS['stop'])
    if frame.supervisor is not None and frame.supervisor.level >= ERROR:
        return (_badge('the supervisor has stopped the robot', SOURCE_COLOURS['stop'])
                + _padded(html.escape(frame.supervisor.message)))
    colour = SOURCE_COLOURS.get(decision.source, (120, 120, 120))
    text = _badge(MEANING.get(decision.source, decision.source), colour)
    if decision.reason:
        text += _padded(html.escape(decision.reason))
    return text


def supervisor(frame: Frame) -> str:
    """Return the supervisor's own report, as HTML."""
    health = frame.supervisor
    if health is None:
        return _padded('<b>Supervisor:</b> not heard')
    colour = SOURCE_COLOURS['stop'] if health.level >= ERROR else (60, 60, 60)
    return _padded(f'<b>Supervisor:</b> <span style="color:rgb{colour}">'
                   f'{html.escape(health.message)}</span>')


def outcome(frame: Frame) -> str:
    """Return episode, return and cost, as HTML."""
    where = f'{html.escape(frame.position)}<br>' if frame.position else ''
    return _padded(f'{where}<b>Episode {frame.episode}</b> &nbsp; return (more is better) '
                   f'<b>{_number(frame.episode_return, ".2f")}</b> &nbsp; cost (less is better) '
                   f'<b>{_number(frame.cost, ".0f")}</b>')


def legend() -> str:
    """Return the colours of the sources, as HTML."""
    return _padded('who acts: ' + ' &nbsp; '.join(
        f'<span style="white-space:nowrap"><span style="color:rgb{colour}">&#9632;</span> '
        f'{source}</span>'
        for source, colour in SOURCE_COLOURS.items()))


def comparison(frame: Frame) -> str:
    """Return the values of plan and policy and the plan's thresholds, as Markdown."""
    decision = frame.decision
    plan = None if decision is None else decision.plan
    if decision is None or plan is None:
        return 'No plan was made.'
    return '\n'.join((
        '| | action | value | cost value |', '|---|---|---|---|',
        f'| plan | {_action(plan.plan_action)} | {_number(plan.plan_value)} | '
        f'{_number(plan.plan_cost_value)} |',
        f'| policy | {_action(plan.policy_action)} | {_number(plan.policy_value)} | '
        f'{_number(plan.policy_cost_value)} |',
        f'| wanted of the plan | | at least {_number(plan.value_low)} | '
        f'at most {_number(plan.cost_value_high)} |',
        f'| **done** | {_action(decision.action)} | | |',
        '', f'{plan.counted:.0f} candidates met both thresholds after {plan.iterations} '
        'improvements. They have no places to draw: the model predicts latent states.'))


def monitors(frame: Frame) -> str:
    """Return what each monitor reads, as Markdown."""
    decision = frame.decision
    if decision is None or not decision.readings:
        return 'No monitor has judged yet.'
    rows = [('monitor', 'reads', 'limit', 'says')]
    for reading in decision.readings:
        tripped = reading.monitor in decision.tripped
        state = reading.reason or ('tripped' if tripped else 'clear')
        mark = '**' if tripped or reading.alarm else ''
        rows.append((_cell(reading.monitor), _number(reading.value), _number(reading.limit),
                     f'{mark}{_cell(state)}{mark}'))
    return _table(rows)


def diagnostics(frame: Frame) -> str:
    """Return the /diagnostics reports of every part, as Markdown."""
    if not frame.diagnostics:
        return 'Nothing was heard on /diagnostics.'
    return _table([('part', 'level', 'says'), *(
        (_cell(part.name), LEVELS[min(part.level, 3)], _cell(part.message))
        for part in frame.diagnostics)])


def robots(frames: tuple[Frame, ...]) -> str:
    """Return a row for each robot, as Markdown."""
    rows = [('robot', 'acts', 'return', 'cost')]
    for frame in frames:
        source = 'silent' if frame.decision is None or frame.silence > SILENT_S else (
            frame.decision.source)
        rows.append((_cell(title(frame.name)), _cell(source),
                     _number(frame.episode_return, '.2f'), _number(frame.cost, '.0f')))
    return _table(rows)


def title(name: str) -> str:
    """Return a robot's name on the page."""
    return name or '(no namespace)'


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows of cells as a Markdown table; the first row is the header."""
    header, *lines = (f'| {" | ".join(row)} |' for row in rows)
    return '\n'.join((header, '|---' * len(rows[0]) + '|', *lines))


def _padded(text: str) -> str:
    return f'<div style="padding:2px 12px">{text}</div>'


def _badge(text: str, colour: tuple[int, int, int]) -> str:
    return _padded(
        f'<div style="background:rgb{colour};color:white;font-weight:bold;padding:6px 10px;'
        f'border-radius:4px;font-size:1.15em">{html.escape(text)}</div>')


def _cell(text: str) -> str:
    """Return a text from outside for a table's cell: nothing in it is HTML, Markdown or code."""
    return _MARKUP.sub(lambda found: f'&#{ord(found[0])};', ' '.join(text.split()))


def _number(value: float, form: str = '.3g') -> str:
    return format(value, form) if math.isfinite(value) else '–'


def _action(action: tuple[float, ...]) -> str:
    """Return an action in a few characters; long actions, as of legged robots, are cut."""
    shown = ' '.join(f'{part:+.2f}' for part in action[:4])
    return (shown + (' …' if len(action) > 4 else '')) or '–'
