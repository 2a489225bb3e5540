# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Measure what the live view costs: its memory over time, and the latency of commands beside it.

    python -m benchmarks.live_view memory models/SafetyPointGoal1-v0 --seconds 1800
    python -m benchmarks.live_view latency models/SafetyPointGoal1-v0 --rounds 4

The first watches a simulation in a headless Chromium and writes a row per minute. The second
alternates between no viewer, a viewer without a visitor, and a viewer with that Chromium, while a
robot on a stand is driven. Chromium draws on the processor here, with every core it gets.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import contextlib
import csv
from dataclasses import asdict, dataclass
from pathlib import Path
import re
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from benchmarks.end_to_end_latency import measure
from benchmarks.faults import running
from benchmarks.robot_stand import ORDINARY, PRIORITY
from spowl_ros.control import bundle
from spowl_ros.ros.process import keep_time
from spowl_ros.system import nodes as system
from spowl_ros.system.processes import end_with_parent
from spowl_ros.system.running import RunningSystem

if TYPE_CHECKING:
    from playwright.sync_api import Page as BrowserPage

ARGUMENTS = ('--no-sandbox', '--use-gl=angle', '--use-angle=swiftshader',
             '--enable-unsafe-swiftshader', '--enable-precise-memory-info')
"""Chromium's, for drawing without a graphics card and for an exact heap size."""
CONDITIONS = ('no viewer', 'viewer', 'viewer and browser')
SETTLE_S = 5.0
WAIT_MS = 180_000.0


@dataclass(frozen=True)
class Sample:
    """Resources at one time."""

    seconds: float
    viewer_rss_mb: float
    viewer_threads: int
    viewer_files: int
    page_heap_mb: float
    """The page's JavaScript heap after garbage collection."""
    browser_pss_mb: float
    """Memory of all the browser's processes; shared pages count once."""


@contextlib.contextmanager
def viewing(*arguments: str) -> Iterator[tuple[psutil.Process, str]]:
    """Run `spowl view` at ordinary priority; return its process and its address."""
    command = [sys.executable, '-c',
               f'{ORDINARY}import sys\nfrom spowl_ros.cli.main import main\nsys.exit(main())',
               'view', '--port', '0', '--no-browser', *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                               preexec_fn=end_with_parent())
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if found := re.search(r'at (http://\S+)', line):
                yield psutil.Process(process.pid), found.group(1)
                return
        raise RuntimeError('the view ended without an address')
    finally:
        process.terminate()
        process.wait(30.0)


@contextlib.contextmanager
def browsing(address: str, size: tuple[int, int] = (900, 600)) -> Iterator[BrowserPage]:
    """Show a page in headless Chromium, in a window of this many pixels."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which('chromium'),
                                             args=list(ARGUMENTS))
        page = browser.new_page(viewport={'width': size[0], 'height': size[1]})
        page.set_default_timeout(WAIT_MS)
        page.goto(address)
        page.get_by_text(re.compile('acts|stopped')).first.wait_for()
        yield page
        browser.close()


def sample(viewer: psutil.Process, page: BrowserPage, start: float) -> Sample:
    """Take a sample; the page collects its garbage first."""
    session = page.context.new_cdp_session(page)
    session.send('HeapProfiler.collectGarbage')
    session.detach()
    heap = page.evaluate('performance.memory.usedJSHeapSize')
    browser = [child for child in psutil.Process().children(recursive=True)
               if 'chrom' in child.name()]
    return Sample(
        seconds=round(time.monotonic() - start, 1),
        viewer_rss_mb=round(viewer.memory_info().rss / 1e6, 1),
        viewer_threads=viewer.num_threads(), viewer_files=viewer.num_fds(),
        page_heap_mb=round(heap / 1e6, 1),
        browser_pss_mb=round(sum(child.memory_full_info().pss for child in browser) / 1e6, 1))


def watch_memory(model: Path, rate: float, seconds: float, every: float) -> list[Sample]:
    """Watch a simulation, and sample regularly."""
    samples = []
    simulation = system.simulation(system.SimulationArguments(
        task=bundle.read_contract(model).task, model=str(model), episodes=0, rate=rate))
    with RunningSystem(simulation), viewing() as (viewer, address), browsing(address) as page:
        start = time.monotonic()
        while True:
            samples.append(sample(viewer, page, start))
            print(samples[-1], flush=True)
            if (left := start + seconds - time.monotonic()) <= 0:
                return samples
            page.wait_for_timeout(min(every, left) * 1e3)  # the driver reads what the page says


def compare_latency(model: Path, decisions: int, rounds: int) -> list[dict[str, Any]]:
    """Return a row for each round, condition and quantity, milliseconds."""
    rows: list[dict[str, Any]] = []
    with running(model, bundle.read_contract(model)) as stand:
        for number, condition in ((number, condition) for number in range(rounds)
                                  for condition in CONDITIONS):
            with contextlib.ExitStack() as stack:
                if condition != CONDITIONS[0]:
                    _, address = stack.enter_context(viewing())
                    if condition == CONDITIONS[2]:
                        stack.enter_context(browsing(address))
                    time.sleep(SETTLE_S)
                measured = measure(stand, decisions)
            for quantity, values in measured.items():
                p50, p99 = np.percentile(values, (50.0, 99.0)).round(3)
                rows.append({'round': number, 'condition': condition, 'quantity': quantity,
                             'p50_ms': p50, 'p99_ms': p99})
                print(*rows[-1].values(), sep=', ', flush=True)
    return rows


def main() -> int:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description='Measure what the live view costs.')
    parser.add_argument('what', choices=('memory', 'latency'))
    parser.add_argument('model', type=Path)
    parser.add_argument('--rate', type=float, default=1.0,
                        help='memory: real-time factor of the simulation')
    parser.add_argument('--seconds', type=float, default=1800.0, help='memory: in all')
    parser.add_argument('--every', type=float, default=60.0, help='memory: between samples')
    parser.add_argument('--decisions', type=int, default=200, help='latency: in each round')
    parser.add_argument('--rounds', type=int, default=4, help='latency: of each condition')
    parser.add_argument('--csv', type=Path)
    args = parser.parse_args()
    if args.what == 'memory':
        rows = list(map(asdict, watch_memory(args.model, args.rate, args.seconds, args.every)))
    else:
        keep_time(PRIORITY)
        rows = compare_latency(args.model, args.decisions, args.rounds)
    if args.csv:
        with args.csv.open('w', newline='', encoding='utf-8') as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
            writer.writeheader()
            writer.writerows(rows)
    return 0


if __name__ == '__main__':
    sys.exit(main())
