# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Make the documentation's pictures of replays from a bundle: a report, and a threshold sweep.

Records two bags with `spowl sim`, whose planners ignore cost. In one a monitor steps in late, so
that the report has costs, alarms and a monitor that acts. Both are replayed with `spowl replay`.
A browser draws the report::

    python -m benchmarks.replay_pictures models/SafetyPointGoal1-v0

It writes docs/images/replay_report.png, docs/images/threshold_sweep.png and
benchmarks/results/threshold_sweep.csv.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile

import matplotlib as mpl
from PIL import Image

from benchmarks import run_command
from spowl_ros.replay import plots

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / 'docs' / 'images'
SPOWL = (sys.executable, '-m', 'spowl_ros.cli.main')
BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')
SIZE = (1100, 2120)  # pixels of the report that are shown, from its top
SWEPT = 'cost_value.budget'
CARELESS = 'planner.kind: unsafe'
EVENTFUL = f'{CARELESS}, sensor_margin.rule.level: monitor, sensor_margin.margin: 0.0'
EVENTFUL_SEED = 10025
"""Of an episode in which the shipped PointGoal1 has a cost."""
BUDGETS = '0.25,0.5,1,2,4,8,16'


def record(bag: Path, bundle: Path, episodes: int, seed: int, *arguments: str,
           settings: str = '') -> None:
    """Drive some episodes with settings of the controller, and record them."""
    file = bag.with_suffix('.yaml')
    file.write_text(f'/**/controller: {{ros__parameters: {{{settings}}}}}\n')
    subprocess.run([*SPOWL, 'sim', f'model:={bundle}', f'episodes:={episodes}', f'seed:={seed}',
                    f'record:={bag}', f'params_file:={file}', *arguments], check=True)


def replay(bag: Path, bundle: Path, *options: str) -> None:
    """Replay a bag from its folder."""
    subprocess.run([*SPOWL, 'replay', bag.name, str(bundle), *options], check=True, cwd=bag.parent)


def screenshot(page: Path, picture: Path) -> None:
    """Let a browser draw the top of a page."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f'none of {", ".join(BROWSERS)} is installed; one of them draws the report')
    subprocess.run([browser, '--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars',
                    f'--window-size={SIZE[0]},{SIZE[1]}', f'--screenshot={picture}',
                    page.resolve().as_uri()], check=True, stderr=subprocess.DEVNULL)
    Image.open(picture).convert('RGB').save(picture, optimize=True)


def main() -> None:
    """Record, replay, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('bundle', type=Path)
    parser.add_argument('--episodes', type=int, default=3)
    parser.add_argument('--seed', type=int, default=EVENTFUL_SEED, help='of the first episode')
    args = parser.parse_args()
    bundle = args.bundle.resolve()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        record(work / 'bag', bundle, args.episodes, args.seed, settings=EVENTFUL)
        replay(work / 'bag', bundle, '--report', str(work / 'report.html'))
        screenshot(work / 'report.html', IMAGES / 'replay_report.png')

        record(work / 'careless', bundle, args.episodes, args.seed, settings=CARELESS)
        replay(work / 'careless', bundle, '--set', 'cost_value.rule.level=policy', '--sweep',
               f'{SWEPT}={BUDGETS}', '--json', str(work / 'sweep.json'), '--csv',
               str(ROOT / 'benchmarks' / 'results' / 'threshold_sweep.csv'))
        rows = json.loads((work / 'sweep.json').read_text())['sweep']
    with mpl.rc_context(plots.STYLE):
        plots.sweep(rows, [SWEPT]).savefig(IMAGES / 'threshold_sweep.png', dpi=110)


if __name__ == '__main__':
    run_command(main)
