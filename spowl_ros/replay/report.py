# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A replay as one HTML file that needs no network: figures, tables and pictures."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from importlib.metadata import version
from io import BytesIO
from string import Template
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np

from spowl_ros.control.decision import SOURCES
from spowl_ros.replay import plots
from spowl_ros.replay.alarms import QUIET_S, WINDOW_S
from spowl_ros.replay.findings import findings
from spowl_ros.replay.foresight import CLOSING, foresight
from spowl_ros.replay.measures import driving, remarks

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from spowl_ros.replay.replay import Replay

PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { --ink: #26292f; --faint: #6a7079; --line: #e4e6ea; --good: #1f7750; --bad: #c82828; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f5f7; color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 24px; margin: 0 0 2px; }
h2 { font-size: 17px; margin: 0 0 10px; }
.sub { color: var(--faint); margin: 0 0 18px; overflow-wrap: anywhere; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 12px;
  padding: 18px 20px; margin: 14px 0; }
.tiles { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.tile { background: #fff; border: 1px solid var(--line); border-radius: 12px;
  padding: 12px 16px; }
.tile b { display: block; font-size: 25px; font-weight: 650; line-height: 1.25;
  font-variant-numeric: tabular-nums; }
.tile span { color: var(--faint); font-size: 13px; }
.good { color: var(--good); } .bad { color: var(--bad); }
.band { display: flex; height: 16px; border-radius: 8px; overflow: hidden; margin: 2px 0 8px; }
.key { color: var(--faint); font-size: 13px; margin-right: 16px; white-space: nowrap; }
.key i { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 5px; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(400px, 1fr)); gap: 14px; }
.pair .card { margin: 0; }
img { width: 100%; height: auto; display: block; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
th { color: var(--faint); font-weight: 550; font-size: 13px; }
.note { color: var(--faint); font-size: 13px; margin: 8px 0 0; }
ul { margin: 0; padding-left: 20px; }
.warn { border-left: 4px solid var(--bad); }
</style></head><body><main>
<h1>$title</h1><p class="sub">$subtitle</p>
$body
</main></body></html>
""")

LEVEL = '.rule.level'
"""How the name of a setting ends that says whether a monitor may lead."""


def write_report(file: Path, replays: Sequence[tuple[Replay, dict[str, Any]]],
                 rows: Sequence[dict[str, Any]] = (), swept: Sequence[str] = ()) -> None:
    """
    Write the report of one or several replays.

    :param replays: each with what `measure` returned of it
    :param rows: of a sweep, with the names of the settings `swept`
    """
    with mpl.rc_context(plots.STYLE):
        parts = [_sweep(rows, swept)] if rows else []
        if len(replays) > 1:
            parts.append(_overview([measured for _, measured in replays]))
        for replay, measured in replays:
            if len(replays) > 1:
                parts.append(f'<h1 style="margin-top:36px">{escape(replay.bag.name)}</h1>')
            parts += _sections(replay, measured)
    file.write_text(PAGE.substitute(
        title=escape(f'Replay of {replays[0][0].task}'),
        subtitle=escape('What would this controller have done, and was it right to trust it?'),
        body='\n'.join(parts)), encoding='utf-8')


def _sections(replay: Replay, measured: dict[str, Any]) -> list[str]:
    """Return the parts of the page about one replay."""
    trace, live, planner = driving(replay), driving(replay, live=True), replay.settings.planner
    value = foresight(trace, 'value', planner.discount)
    cost_value = foresight(trace, 'cost_value', planner.cost_discount)
    parts = [_remarks(measured), _tiles(measured), _findings(measured), _band(measured)]
    if replay.recorded is not None and replay.differences:
        parts.append(_card('Against the recording', _image(
            plots.difference(replay.recorded, replay.replayed, replay.compared))
            + _divergence(measured)))
    parts.append(_card('Time line', _image(plots.timeline(trace))))
    parts.append(_card('Was it right to trust the predictions?', _image(
        plots.calibration(value, cost_value)) + _calibration(measured)))
    side = [_image(plots.error_by_horizon(value, cost_value)), _alarms(measured),
            _image(plots.latency(live)) + _deadlines(measured)]
    longest = int(np.bincount(trace.episode).argmax())
    episode = trace.select(trace.episode == longest)
    if np.isfinite(episode.position).any():
        which = f'Path of episode {longest + 1}' if trace.episode[-1] else 'Path'
        side.append(f'<h2>{which}</h2>' + _image(
            plots.path(episode, replay.scenes.get(longest))))
    parts.append('<div class="pair">' + ''.join(
        f'<div class="card">{content}</div>' for content in side) + '</div>')
    parts += [_episodes(measured), _made_with(measured)]
    return parts


def _overview(all_measured: Sequence[dict[str, Any]]) -> str:
    """Return one row for each bag."""
    rows = []
    for measured in all_measured:
        identical, alarm = measured['identical'], measured['alarm']
        compared = {None: '–', True: 'all', False: f'to #{measured["diverged_at"]}'}[identical]
        rows.append((
            measured['bag'], str(measured['decisions']), compared, _text(measured['return'], 4),
            _text(measured['cost'], 4), f'{alarm["hits"]} of {alarm["hits"] + alarm["misses"]}',
            str(alarm['false_alarms']), _text(measured['latency_ms']['p99'])))
    return _card('Bags', _table(
        ('bag', 'decisions', 'identical', 'return', 'cost', 'costs warned of', 'false alarms',
         'p99 (ms)'), rows))


def _findings(measured: dict[str, Any]) -> str:
    lines = ''.join(f'<li>{escape(line)}</li>' for line in findings(measured))
    return _card('In short', f'<ul>{lines}</ul>')


def _image(figure: Figure) -> str:
    """Return a figure as an element that holds its own data."""
    buffer = BytesIO()
    figure.savefig(buffer, format='svg', dpi=160, metadata={'Date': None})
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="" src="data:image/svg+xml;base64,{data}">'


def _card(title: str, content: str) -> str:
    return f'<div class="card"><h2>{escape(title)}</h2>{content}</div>'


def _text(value: float | None, digits: int = 3) -> str:
    """Return a number for a table; a dash where it is not known."""
    return '–' if value is None else f'{value:.{digits}g}'


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = ''.join(f'<th>{escape(name)}</th>' for name in head)
    body = ''.join('<tr>' + ''.join(f'<td>{escape(cell)}</td>' for cell in row) + '</tr>'
                   for row in rows)
    return f'<table><tr>{cells}</tr>{body}</table>'


def _tiles(measured: dict[str, Any]) -> str:
    """Return the figures that everybody asks for first."""
    identical = measured['identical']
    verdict = {None: ('–', 'nothing to compare with'), True: ('all', 'identical, bit for bit'),
               False: (f'#{measured["diverged_at"]}', 'first decision that differs')}[identical]
    kind = {None: '', True: 'good', False: 'bad'}[identical]
    alarm, latency = measured['alarm'], measured['latency_ms']
    tiles = [
        (f'{measured["decisions"]}', 'decisions', ''),
        (verdict[0], verdict[1], kind),
        (_text(measured['return'], 4), 'return per episode', ''),
        (_text(measured['cost'], 4), 'cost per episode', ''),
        (f'{alarm["hits"]} of {alarm["hits"] + alarm["misses"]}', 'costs warned of', ''),
        (f'{_text(latency["p50"])} ms', f'per decision, p99 {_text(latency["p99"])} ms', ''),
    ]
    return '<div class="tiles">' + ''.join(
        f'<div class="tile"><b class="{kind}">{escape(value)}</b><span>{escape(name)}</span></div>'
        for value, name, kind in tiles) + '</div>'


def _band(measured: dict[str, Any]) -> str:
    """Return who acted, as one coloured band."""
    fractions = measured['source_fraction']
    band = ''.join(f'<div style="width:{100 * fractions[name]:.3f}%;'
                   f'background:{plots.SOURCE_HEX[name]}"></div>' for name in SOURCES)
    keys = ''.join(f'<span class="key"><i style="background:{plots.SOURCE_HEX[name]}"></i>'
                   f'{name} {fractions[name]:.1%}</span>' for name in SOURCES)
    switches = ', '.join(f'{name} {count}' for name, count in measured['switches'].items())
    gone = measured['stops_after_end']
    return _card('Who acted', f'<div class="band">{band}</div>{keys}' + _note(
        'Plan: the planner, where its action is better than the policy\u2019s and no less safe. '
        'Policy: the learned policy. Monitor: a runtime check, which keeps clear of hazards. '
        'Stop: what brings the robot to rest.'
        + (f' Switches: {switches}.' if switches else '')
        + (f' Left out here and below: {gone} stops after the simulation had ended.'
           if gone else '')))


def _remarks(measured: dict[str, Any]) -> str:
    return ''.join(f'<div class="card warn">{escape(line)}</div>' for line in remarks(measured))


def _divergence(measured: dict[str, Any]) -> str:
    found = measured['divergence']
    sources = ', '.join(f'{name}: {count}' for name, count in found['sources'].items()) or 'none'
    return _table(
        ('decisions that differ', 'with another action', 'action by, mean', 'most',
         'value by, mean', 'cost value by, mean'),
        [(f'{found["decisions"]} of {measured["decisions"]}', str(found['action']['decisions']),
          _text(found['action']['mean']), _text(found['action']['max']), _text(found['value']),
          _text(found['cost_value']))],
    ) + _note(f'Source changes: {sources}. Each decision is made with the recorded observation: '
              'what the robot would have seen after another action is not known.')


def _calibration(measured: dict[str, Any]) -> str:
    rows = []
    for name, key in (('cost value', 'cost_value_calibration'), ('value', 'value_calibration')):
        found = measured[key]
        rows.append((name, str(found['decisions']), _text(found['bias']), _text(found['rmse']),
                     _text(found['correlation'], 2)))
    bound = measured['cost_value_calibration']['coverage']
    observed = '–' if bound['observed'] is None else f'{bound["observed"]:.1%}'
    shares = ' and '.join(f'{measured[key]["discount"] ** CLOSING:.0%} ({name})' for name, key in (
        ('cost value', 'cost_value_calibration'), ('value', 'value_calibration')))
    return _table(('', 'decisions', 'bias', 'RMS error', 'rank correlation'), rows) + _note(
        f'What followed is the discounted sum of the next {CLOSING} decisions and, weighed by '
        f'{shares}, the prediction at their end. A bias above 0: predicted too high. A rank '
        'correlation of 1: it orders all situations rightly, 0: as chance would. The discounted '
        f'cost of {bound["window"]} decisions stayed below its conformal bound in {observed} of '
        f'them; {bound["wanted"]:.0%} were wanted.')


def _alarms(measured: dict[str, Any]) -> str:
    alarm = measured['alarm']
    rows = [(name.replace('_', ' '), str(one['hits']), str(one['misses']),
             str(one['false_alarms']), _text(one['lead_seconds'], 2), f'{one["alarmed"]:.0%}')
            for name, one in ({'all together': alarm} | alarm['by_monitor']).items()]
    return '<h2>Alarms before costs</h2>' + _table(
        ('monitor', 'hits', 'misses', 'false', 'lead (s)', 'alarmed'), rows) + _note(
        'A hit is a cost that began during an alarm or up to '
        f'{WINDOW_S:g} s after it; a cost is one that begins after {QUIET_S:g} s without any. '
        'Lead: median time from alarm to cost. Alarmed: share of the decisions. Monitors that '
        'only report are counted as well.')


def _deadlines(measured: dict[str, Any]) -> str:
    late = measured['latency_ms']['deadline_misses']
    return _note(f'As measured by the machine that recorded. Deadlines missed: {late}.')


def _made_with(measured: dict[str, Any]) -> str:
    """Return all that is needed to make this page again."""
    same = {None: 'the bag does not say which one made it', True: 'the one that made the bag',
            False: 'not the one that made the bag'}[measured['same_bundle']]
    settings = measured['settings']
    leading = [f'{name.removesuffix(LEVEL).replace("_", " ")} ({level})'
               for name, level in settings.items() if name.endswith(LEVEL) and level != 'off']
    changes = ', '.join(f'{name} = {value}' for name, value in measured['changes'].items())
    rows = [
        ('bag', measured['bag']), ('length', f'{measured["seconds"]:.1f} s'),
        ('bundle', f'{measured["bundle_sha256"][:16]}…, {same}'),
        ('planner', f'{settings["planner.kind"]}, {settings["planner.iterations"]} iterations'),
        ('monitors that may lead', ', '.join(leading) or 'none'),
        ('changed for this replay', changes or 'nothing'),
        ('by', f'spowl_ros {version("spowl_ros")}')]
    return _card('Made with', '<table>' + ''.join(
        f'<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>' for name, value in rows)
        + '</table>')


def _episodes(measured: dict[str, Any]) -> str:
    rows = [(str(index + 1), _text(one['return'], 4), _text(one['cost'], 4))
            for index, one in enumerate(measured['episodes'])]
    return _card('Episodes', _table(('episode', 'return', 'cost'), rows))


def _sweep(rows: Sequence[dict[str, Any]], swept: Sequence[str]) -> str:
    columns = [*swept, 'decisions', 'hits', 'misses', 'false_alarms', 'lead_seconds', 'alarmed',
               'switches']
    table = _table([name.replace('_', ' ') for name in columns], [
        [_text(row[name], 4) if isinstance(row[name], float | None) else str(row[name])
         for name in columns] for row in rows])
    return _card('Sweep', _image(plots.sweep(rows, swept)) + table)
