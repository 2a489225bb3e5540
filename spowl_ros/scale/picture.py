# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw the figure of a sweep: return and cost of every run that has both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from spowl_ros.base.files import whole
from spowl_ros.base.statistics import TOWARDS

_INCHES_A_RUN = 0.3


def draw(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """
    Draw return and cost of each run into a PNG, with intervals where known.

    :param rows: from `Sweep.rows`; without any figures nothing is drawn
    """
    shown = [row for row in rows if row.get('return') is not None]
    if not shown:
        return
    figure = Figure((10, 1.5 + _INCHES_A_RUN * len(shown)), layout='constrained')
    for axes, name in zip(figure.subplots(1, 2, sharey=True), ('return', 'cost'), strict=True):
        for place, row in enumerate(shown):
            low, high = (row.get(f'{name}_{end}', row[name]) for end in ('low', 'high'))
            axes.plot([low, high], [place, place], color='0.6', linewidth=3)
            axes.plot(row[name], place, 'o', color='C0' if row['kind'] == 'training' else 'C1')
        axes.set_xlabel(f'{name}: {TOWARDS[name]}')
        axes.grid(axis='x', alpha=0.3)
    axes = figure.axes[0]
    axes.set_yticks(range(len(shown)), [
        ' '.join(map(str, filter(None, (
            Path(row['of']).name, row['planner'], f'seed {row["seed"]}', row['changes']))))
        for row in shown], fontsize=7)
    axes.invert_yaxis()
    with whole(file) as part:
        figure.savefig(part, dpi=120)
