# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The pictures of a replay report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib import patches
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
import numpy as np

from spowl_ros.base.statistics import latency_ms, percentiles
from spowl_ros.control.decision import SOURCES
from spowl_ros.drawing.picture import COST, KIND_COLOURS, SOURCE_COLOURS
from spowl_ros.replay.alarms import runs
from spowl_ros.replay.foresight import HORIZONS, episode_bounds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from spowl_ros.replay.foresight import Foresight
    from spowl_ros.replay.recording import RecordedScene
    from spowl_ros.replay.trace import Trace

STYLE: Any = {
    'font.family': 'sans-serif', 'font.size': 9.0, 'axes.titlesize': 10.0,
    'axes.titleweight': 'bold', 'axes.titlelocation': 'left', 'axes.spines.top': False,
    'axes.spines.right': False, 'axes.edgecolor': '#b8bcc4', 'axes.labelcolor': '#4a4f58',
    'xtick.color': '#6a7079', 'ytick.color': '#6a7079', 'axes.grid': True,
    'grid.color': '#ebedf0', 'grid.linewidth': 0.8, 'legend.frameon': False,
    'legend.fontsize': 8.0, 'figure.facecolor': 'white', 'svg.fonttype': 'none',
    'svg.hashsalt': 'spowl'}
WIDTH = 10.0  # inches
GREY, INK = '#9aa0a8', '#38404c'
VALUE, COST_VALUE = '#556b8e', '#a0684a'
"""Colours of curves that belong to no source; the sources' own are in SOURCE_HEX."""
QUANTITIES = (('Cost value', COST_VALUE), ('Value', VALUE))
MOST_POINTS = 4000
"""Greatest number of decisions in a time line; a longer series is thinned out."""
MOST_DOTS = 1500
UNLIMITED = 1e8
"""A threshold this high refuses nothing."""
FAR_ABOVE = 2.0
"""A limit is drawn if it is at most this many times as high as the lines."""


def colour(rgb: tuple[int, int, int]) -> str:
    """Return a colour for matplotlib and CSS."""
    return '#{:02x}{:02x}{:02x}'.format(*rgb)


SOURCE_HEX = {name: colour(SOURCE_COLOURS[name]) for name in SOURCES}
COST_HEX = colour(COST)


def timeline(trace: Trace) -> Figure:
    """Draw source, alarms, values with their thresholds, costs and model error over time."""
    trace = thinned(trace)
    time = trace.time
    alarms = {name: tripped for name, tripped in trace.alarms.items() if tripped.any()}
    figure = Figure((WIDTH, 7.3 + 0.25 * len(alarms)), layout='constrained')
    heights = (0.35, max(0.05, 0.18 * len(alarms)), 1.2, 1.4, 0.45, 0.9)
    rows = figure.subplots(6, 1, sharex=True, height_ratios=heights)
    _sources(rows[0], trace)
    _alarms(rows[1], trace, alarms)
    _lines(rows[2], 'Predicted value', trace, (
        ('plan_value', 'plan', SOURCE_HEX['plan'], '-'),
        ('policy_value', 'policy', SOURCE_HEX['policy'], '-'),
        ('value_low', 'least allowed $q_l$', GREY, '--')))
    _lines(rows[3], 'Predicted cost value', trace, (
        ('plan_cost_value', 'plan', SOURCE_HEX['plan'], '-'),
        ('policy_cost_value', 'policy', SOURCE_HEX['policy'], '-'),
        ('cost_value_high', 'most allowed $k_h$', GREY, '--'),
        ('cost_threshold', 'of candidates $k^*$', '#7a6a5a', ':')),
        trace.limits['cost_value'], trace.executed('cost_value') + trace.cost_offset)
    rows[4].fill_between(time, trace.cost, step='post', color=COST_HEX, alpha=0.85, linewidth=0)
    rows[4].set(title='Cost',
                ylim=(0, float(np.fmax.reduce(trace.cost, initial=1.0)) * 1.15))
    _lines(rows[5], 'Model error', trace, (('model_error', 'error', VALUE, '-'),),
           trace.limits['model_error'])
    rows[5].set_xlabel('seconds')
    for start, _ in episode_bounds(trace.episode)[1:]:
        for axes in rows:
            axes.axvline(time[start], color='#c5c9cf', linewidth=0.8)
    return figure


def thinned(trace: Trace) -> Trace:
    """Return at most MOST_POINTS decisions, evenly spread, including all with cost."""
    if len(trace) <= MOST_POINTS:
        return trace
    keep = trace.cost > 0.0
    keep[np.linspace(0, len(trace) - 1, MOST_POINTS).astype(int)] = True
    return trace.select(keep)


def _sources(axes: Axes, trace: Trace) -> None:
    """Draw the acting source as a coloured band."""
    for index, name in enumerate(SOURCES):
        here = trace.source == index
        axes.broken_barh(_bars(here, trace), (0, 1), facecolors=SOURCE_HEX[name], linewidth=0,
                         label=f'{name} {here.mean():.0%}')
    axes.set(title='Who acted', ylim=(0, 1), yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.legend(ncols=len(SOURCES), loc='lower right', bbox_to_anchor=(1, 1), borderpad=0)


def _alarms(axes: Axes, trace: Trace, alarms: dict[str, NDArray[np.bool_]]) -> None:
    """Draw the tripped monitors, one row for each."""
    for row, tripped in enumerate(alarms.values()):
        axes.broken_barh(_bars(tripped, trace), (row + 0.2, 0.6),
                         facecolors=SOURCE_HEX['monitor'], linewidth=0)
    axes.set(title='Monitors tripped' if alarms else 'No monitor tripped',
             ylim=(max(len(alarms), 1), 0))
    axes.set_yticks(np.arange(len(alarms)) + 0.5, [name.replace('_', ' ') for name in alarms])
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)


def _bars(here: NDArray[np.bool_], trace: Trace) -> list[tuple[float, float]]:
    """Return begin and length of each stretch of decisions."""
    time = trace.time
    step = float(np.median(np.diff(time))) if len(time) > 1 else 1.0
    return [(time[first], time[last] - time[first] + step)
            for first, last in runs(here, trace.episode)]


def _lines(axes: Axes, title: str, trace: Trace, series: Sequence[tuple[str, str, str, str]],
           limit: NDArray[np.float64] | None = None,
           bound: NDArray[np.float64] | None = None) -> None:
    """
    Draw numbers of plans over time; NaN leaves a gap, and an unlimited threshold is omitted.

    :param series: name in the trace, label, colour and line style of each
    :param limit: a monitor's alarm limit; one far above the lines is only given as text
    :param bound: upper bound of what follows; the area below it is filled
    """
    for name, label, line_colour, style in series:
        values = np.where(np.abs(trace.plan[name]) < UNLIMITED, trace.plan[name], np.nan)
        if np.isfinite(values).any():
            axes.plot(trace.time, values, style, color=line_colour, label=label, linewidth=1.1)
    if bound is not None and np.isfinite(bound).any():
        axes.fill_between(trace.time, bound, axes.get_ylim()[0], color=GREY, alpha=0.25,
                          linewidth=0, label='what follows: below this bound')
    if limit is not None and np.isfinite(limit).any():
        most = float(limit[np.isfinite(limit)].max())
        bottom, top = axes.get_ylim()
        far = most > FAR_ABOVE * top
        axes.plot(trace.time, limit, color=SOURCE_HEX['monitor'], linewidth=1.0,
                  label=f'alarm above {most:.3g}')
        axes.set_ylim(bottom, top if far else max(top, 1.05 * most))
    if axes.lines:
        axes.legend(ncols=6, loc='lower right', bbox_to_anchor=(1, 1), borderpad=0)
    axes.set_title(title)


def calibration(value: Foresight, cost_value: Foresight) -> Figure:
    """Draw what followed against what was predicted, for both value functions."""
    figure = Figure((WIDTH, 3.9), layout='constrained')
    for axes, foresight, (title, dots) in zip(
            figure.subplots(1, 2), (cost_value, value), QUANTITIES, strict=True):
        predicted, followed = foresight.predicted, foresight.followed
        axes.set(title=title, xlabel='predicted', ylabel='followed')
        if not predicted.size:
            axes.text(0.5, 0.5, 'too few decisions', ha='center', transform=axes.transAxes)
            continue
        chosen = np.random.default_rng(0).permutation(predicted.size)[:MOST_DOTS]
        axes.plot(predicted[chosen], followed[chosen], '.', color=dots, alpha=0.16, markersize=4,
                  markeredgewidth=0, rasterized=True)
        ends = [min(predicted.min(), followed.min()), max(predicted.max(), followed.max())]
        axes.plot(ends, ends, color=GREY, linewidth=0.9, linestyle='--', label='as predicted')
        curve = foresight.curve()
        axes.fill_between(curve['predicted'], curve['low'], curve['high'], color=dots, alpha=0.12,
                          linewidth=0, label='8 of 10 decisions')
        axes.plot(curve['predicted'], curve['followed'], 'o-', color=dots, markersize=4,
                  linewidth=1.4, label='mean')
        axes.legend(loc='upper left')
    return figure


def error_by_horizon(value: Foresight, cost_value: Foresight) -> Figure:
    """Draw bias and error of both value functions over the decisions looked ahead."""
    figure = Figure((WIDTH / 2, 3.3), layout='constrained')
    rows = figure.subplots(2, 1, sharex=True)
    for axes, foresight, (name, line) in zip(rows, (cost_value, value), QUANTITIES, strict=True):
        axes.set_title(f'{name}: predicted − followed, by horizon')
        axes.axhline(0.0, color=GREY, linewidth=0.8)
        if foresight.by_horizon:
            horizons = list(foresight.by_horizon)
            bias, rmse = np.array(list(foresight.by_horizon.values())).T
            axes.plot(horizons, rmse, 'o-', color=line, markersize=3.5, label='RMS')
            axes.plot(horizons, bias, 'o:', color=line, markersize=3.5, label='bias')
            axes.legend(loc='upper left')
    rows[1].set(xscale='log', xlabel='decisions ahead')
    rows[1].set_xticks(HORIZONS, [str(horizon) for horizon in HORIZONS])
    rows[1].minorticks_off()
    return figure


def latency(trace: Trace) -> Figure:
    """Draw how long decisions took."""
    figure = Figure((WIDTH / 2, 3.3), layout='constrained')
    axes = figure.subplots()
    milliseconds = trace.seconds[np.isfinite(trace.seconds)] * 1e3
    axes.set(title='Latency', xlabel='ms', ylabel='decisions')
    if milliseconds.size:
        # One slow decision must not squeeze all others into one bar.
        end = percentiles(milliseconds, (99.5,))['p99.5'] * 1.15
        axes.hist(np.minimum(milliseconds, end), bins=60, color=VALUE, alpha=0.8)
        for (part, at), style in zip(latency_ms(trace.seconds).items(), ('-', '--', ':')):
            axes.axvline(at, color=INK, linewidth=1.0, linestyle=style,
                         label=f'{part}: {at:.1f} ms')
        axes.legend()
    return figure


def path(trace: Trace, scene: RecordedScene | None) -> Figure:
    """
    Draw the robot's path, coloured by the acting source, among the objects of its scene.

    :param trace: of one episode
    :param scene: at the episode's begin
    """
    figure = Figure((WIDTH / 2, 4.6), layout='constrained')
    axes = figure.subplots()
    named: set[str] = set()
    for outline in scene.outlines if scene else ():
        if outline.kind == 'robot':
            continue
        shape = (patches.Circle(outline.points[0], outline.radius)
                 if len(outline.points) == 1 else patches.Polygon(outline.points))
        name = 'goal (the first)' if outline.kind == 'goal' else outline.kind.replace('_', ' ')
        shape.set(facecolor=colour(KIND_COLOURS.get(outline.kind, (150, 150, 150))), alpha=0.45,
                  linewidth=0, label=None if name in named else name)
        named.add(name)
        axes.add_patch(shape)
    shown = trace.select(np.isfinite(trace.position[:, 0]))  # not every message gives it
    axes.add_collection(LineCollection(
        list(np.stack([shown.position[:-1], shown.position[1:]], axis=1)), linewidths=1.6,
        colors=[SOURCE_HEX[SOURCES[source]] for source in shown.source[:-1]]))
    costly = shown.cost > 0.0
    if costly.any():
        axes.plot(*shown.position[costly].T, 'x', color=COST_HEX, markersize=5, label='cost')
    axes.plot(*shown.position[:1].T, 'o', color='#26292f', markersize=5, label='start')
    axes.set(xlabel='x (m)', ylabel='y (m)', aspect='equal')
    axes.autoscale_view()
    figure.legend(loc='outside upper right', ncols=5)
    return figure


def difference(recorded: Trace, replayed: Trace, compared: NDArray[np.bool_]) -> Figure:
    """
    Draw the difference between replayed and recorded actions and predictions.

    :param compared: whether each decision can be compared; the others leave a gap
    """
    figure = Figure((WIDTH, 3.6), layout='constrained')
    rows = figure.subplots(2, 1, sharex=True)
    shown = np.arange(0, len(recorded), max(1, len(recorded) // MOST_POINTS))
    action = np.where(compared, np.abs(recorded.action - replayed.action).max(axis=1), np.nan)
    rows[0].plot(shown, action[shown], color=VALUE, linewidth=1.0)
    rows[0].set_title('Action: greatest difference of a component')
    for quantity, label, line in (
            ('value', 'value', VALUE), ('cost_value', 'cost value', COST_VALUE)):
        changed = np.where(
            compared, replayed.executed(quantity) - recorded.executed(quantity), np.nan)
        rows[1].plot(shown, changed[shown], color=line, linewidth=1.0, label=label)
    rows[1].set(title='Prediction for the action taken: replayed − recorded', xlabel='decision')
    rows[1].legend()
    return figure


def sweep(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> Figure:
    """Draw the figures of each combination over the first swept setting."""
    figure = Figure((WIDTH, 3.4), layout='constrained')
    left, right = figure.subplots(1, 2)
    others = names[1:]
    for key in dict.fromkeys(tuple(row[name] for name in others) for row in rows):
        group = [row for row in rows if tuple(row[name] for name in others) == key]
        suffix = ', '.join(f'{name.rpartition(".")[2]} {value}'
                           for name, value in zip(others, key, strict=True))
        at = [row[names[0]] for row in group]
        for column, line, style in (('hits', INK, 'o-'), ('misses', COST_VALUE, 's--'),
                                    ('false_alarms', GREY, '^-')):
            left.plot(at, [row[column] for row in group], style, color=line, markersize=4.5,
                      label=f'{column.replace("_", " ")} {suffix}'.strip(),
                      alpha=1.0 if len(others) == 0 else 0.7)
        for source in SOURCES:
            share = [row[f'source_{source}'] for row in group]
            if any(share):
                right.plot(at, share, 'o-', color=SOURCE_HEX[source], markersize=3.5,
                           label=f'{source} {suffix}'.strip())
    right.set_ylim(0, 1.02)
    for axes, title in ((left, 'Alarms'), (right, 'Who would have acted')):
        axes.set(title=title, xlabel=names[0])
        axes.legend()
    return figure
