# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Measure the memory of the live view over time, of its page and of its browser.

    python -m benchmarks.live_view models/SafetyPointGoal1-v0 --seconds 1800

It watches a simulation in a headless Chromium, which draws on the processor, and writes a row a
minute.
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
from typing import TYPE_CHECKING

import psutil

from benchmarks import run_command
from benchmarks.robot_stand import ORDINARY
from spowl_ros.base.children import end_with_parent
from spowl_ros.control import bundle
from spowl_ros.system import nodes as system
from spowl_ros.system.running import RunningSystem

if TYPE_CHECKING:
    from playwright.sync_api import Page as BrowserPage

ARGUMENTS = ('--no-sandbox', '--use-gl=angle', '--use-angle=swiftshader',
             '--enable-unsafe-swiftshader', '--enable-precise-memory-info')
"""Chromium's, for drawing without a graphics card and for an exact heap size."""
WAIT_MS = 500_000.0


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


def main() -> int:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description="Measure the live view's memory over time.")
    parser.add_argument('model', type=Path)
    parser.add_argument('--rate', type=float, default=1.0,
                        help='real-time factor of the simulation')
    parser.add_argument('--seconds', type=float, default=1800.0, help='in all')
    parser.add_argument('--every', type=float, default=60.0, help='between samples')
    parser.add_argument('--csv', type=Path)
    args = parser.parse_args()
    rows = list(map(asdict, watch_memory(args.model, args.rate, args.seconds, args.every)))
    if args.csv:
        with args.csv.open('w', newline='', encoding='utf-8') as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
            writer.writeheader()
            writer.writerows(rows)
    return 0


if __name__ == '__main__':
    run_command(main)
