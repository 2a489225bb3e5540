# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Write a replay as one HTML file without network access; the template is beside this file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from importlib.metadata import version
from io import BytesIO
from typing import TYPE_CHECKING, Any

import jinja2
import matplotlib as mpl
import numpy as np

from spowl_ros.base.files import write_whole
from spowl_ros.replay import plots
from spowl_ros.replay.alarms import QUIET_S, WINDOW_S
from spowl_ros.replay.findings import findings
from spowl_ros.replay.foresight import CLOSING, foresight
from spowl_ros.replay.measures import driving, remarks
from spowl_ros.replay.sweep import digits, table

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from spowl_ros.replay.replay import Replay

LEVEL = '.rule.level'
"""How the name of a setting ends that says whether a monitor may lead."""


def write_report(file: Path, replays: Sequence[tuple[Replay, dict[str, Any]]],
                 rows: Sequence[dict[str, Any]] = (), swept: Sequence[str] = ()) -> None:
    """
    Write the report of one or several replays.

    :param replays: each with the result of its `measure`
    :param rows: of a sweep, with the names of the settings `swept`
    """
    pages = jinja2.Environment(
        loader=jinja2.PackageLoader('spowl_ros.replay', '.'), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True)
    pages.filters |= {'digits': digits, 'percent': percent}
    head, texts = table(rows, swept)
    with mpl.rc_context(plots.STYLE):
        page = pages.get_template('report.html.jinja').render(
            task=replays[0][0].task, version=version('spowl_ros'), colours=plots.SOURCE_HEX,
            closing=CLOSING, window_s=f'{WINDOW_S:g}', quiet_s=f'{QUIET_S:g}',
            sweep={'head': head, 'rows': texts, 'picture': _picture(plots.sweep(rows, swept))}
            if rows else None,
            replays=[_about(replay, measured) for replay, measured in replays])
    write_whole(file, page.encode())


def percent(value: float | None, decimals: int = 0) -> str:
    """Return a share as a percentage; a dash if unknown."""
    return '–' if value is None else f'{value:.{decimals}%}'


def _about(replay: Replay, measured: dict[str, Any]) -> dict[str, Any]:
    """Return the template values of one replay."""
    trace, live, planner = driving(replay), driving(replay, live=True), replay.settings.planner
    value = foresight(trace, 'value', planner.discount)
    cost_value = foresight(trace, 'cost_value', planner.cost_discount)
    pictures = {
        'difference': plots.difference(replay.recorded, replay.replayed, replay.compared)
        if replay.recorded is not None and replay.differences else None,
        'timeline': plots.timeline(trace), 'calibration': plots.calibration(value, cost_value),
        'error_by_horizon': plots.error_by_horizon(value, cost_value),
        'latency': plots.latency(live)}
    longest = int(np.bincount(trace.episode).argmax())
    episode = trace.select(trace.episode == longest)
    pictures['path'] = (plots.path(episode, replay.scenes.get(longest))
                        if np.isfinite(episode.position).any() else None)
    return {
        'name': replay.bag.name, 'measured': measured, 'remarks': remarks(measured),
        'findings': findings(measured), 'longest': longest + 1,
        'pictures': {name: figure and _picture(figure) for name, figure in pictures.items()},
        'leading': [f'{name.removesuffix(LEVEL).replace("_", " ")} ({level})'
                    for name, level in measured['settings'].items()
                    if name.endswith(LEVEL) and level != 'off'
                    and (name != f'budget{LEVEL}' or measured['budget'])],
        'changes': [f'{name} = {value}' for name, value in measured['changes'].items()]}


def _picture(figure: Figure) -> str:
    """Return a figure as base64 of an SVG."""
    buffer = BytesIO()
    figure.savefig(buffer, format='svg', dpi=160, metadata={'Date': None})
    return base64.b64encode(buffer.getvalue()).decode()
