# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Latency of a bundle's planner on this machine.

A separate process, ``python -m spowl_ros.evaluation.latency``, makes every measurement. So memory
and cold start are the planner's alone, and the thread count is the requested one.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
import subprocess
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.statistics import latency_ms
from spowl_ros.control import bundle as bundles
from spowl_ros.control.policy import planner_of

PARTS = (50.0, 95.0, 99.0, 99.9)
WARM_UP = 20
PEAK_SIZE = 1024
PEAK_RUNS = 8


def measure(bundle: Path, *, threads: int, decisions: int, iterations: int = 0,
            every: int = 0) -> dict[str, Any]:
    """
    Measure in a fresh process: total latency and by stage, policy alone, cold start, memory.

    :param decisions: number of timed decisions, after a warm-up
    :param iterations: improvements of each plan; 0: as in the bundle's settings
    :param every: only plan, and measure each block of so many decisions; 0: no blocks
    :return: latency_ms, stages, policy_ms (each p50, p95, p99, p99.9, max), load_seconds,
        start_seconds (of the whole process until ready), rss_mb, gflops, peak_gflops, iterations;
        or blocks, each with decisions, rss_mb, and latency percentiles in milliseconds
    :raises SpowlError: the bundle is damaged
    """
    environment = {**os.environ, 'OPENBLAS_NUM_THREADS': str(threads),
                   'OMP_NUM_THREADS': str(threads)}
    numbers = map(str, (threads, decisions, iterations, every))
    process = subprocess.run([sys.executable, '-m', __name__, str(bundle), *numbers],
                             env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if process.returncode:
        raise SpowlError(f'measuring {bundle} failed with exit code {process.returncode}: '
                         f'{process.stdout.strip()}')
    result: dict[str, Any] = json.loads(process.stdout)
    return result


def milliseconds(seconds: list[float]) -> dict[str, float]:
    """Return percentiles of durations in milliseconds."""
    return {name: round(value, 4) for name, value in latency_ms(seconds, PARTS).items()}


def peak_gflops() -> float:
    """Return the peak rate of this process's matrix product, in 1e9 operations per second."""
    a = np.random.default_rng(0).standard_normal((PEAK_SIZE, PEAK_SIZE), np.float32)
    best = float('inf')
    for _ in range(PEAK_RUNS):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2e-9 * PEAK_SIZE ** 3 / best


def resident_mb() -> float:
    """Return the resident memory of this process, in 2**20 bytes; Linux only."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 2**20


def process_age() -> float:
    """Return the age of this process in seconds; Linux only."""
    after_name = Path('/proc/self/stat').read_text().rpartition(')')[2].split()
    started = int(after_name[19]) / os.sysconf('SC_CLK_TCK')  # field 22, proc(5)
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def _main() -> int:
    directory = Path(sys.argv[1])
    threads, decisions, iterations, every = map(int, sys.argv[2:])
    try:
        start = time.perf_counter()
        bundle = bundles.load(directory, threads=threads)
        planner = planner_of(bundle, threads=threads)
    except SpowlError as error:
        print(error)
        return error.EXIT_CODE
    ready = time.perf_counter()
    age = process_age()
    if every:
        result = _soak(planner, decisions, every)
    else:
        result = _measure(planner, decisions, iterations or planner.settings.iterations)
        result['rss_mb'] = round(resident_mb(), 1)
        result['peak_gflops'] = round(peak_gflops(), 2)
    assert 'torch' not in sys.modules
    result.update(load_seconds=round(ready - start, 3), start_seconds=round(age, 3))
    print(json.dumps(result))
    return 0


def _observations(planner: Any, count: int) -> NDArray[np.float32]:
    random = np.random.default_rng(0)
    return random.uniform(-1, 1, (count, planner.bundle.contract.size)).astype(np.float32)


def _timed(planner: Any, decisions: int, iterations: int
           ) -> tuple[list[float], list[float], list[dict[str, float]]]:
    """Plan after a warm-up; return seconds, seconds of the processor, and seconds by stage."""
    total, processor, stages = [], [], []
    warm_up = min(WARM_UP, decisions)
    for step, observation in enumerate(_observations(planner, warm_up + decisions)):
        start, used = time.perf_counter(), time.process_time()
        plan = planner.plan(observation, step, iterations=iterations)
        duration = time.perf_counter() - start
        if step >= warm_up:
            processor.append(time.process_time() - used)
            total.append(duration)
            stages.append(plan.seconds)
    return total, processor, stages


def _measure(planner: Any, decisions: int, iterations: int) -> dict[str, Any]:
    total, processor, plans = _timed(planner, decisions, iterations)
    policy, *_ = _timed(planner, decisions, 0)
    stages = {name: milliseconds([seconds[name] for seconds in plans]) for name in plans[0]}
    flops = sum(graph.flops * (iterations if name == 'improve' else 1)
                for name, graph in planner.bundle.graphs.items()
                if name in stages)  # without planning only the first
    latency = milliseconds(total)
    return {'latency_ms': latency, 'policy_ms': milliseconds(policy), 'stages': stages,
            'cpu_ms': round(1e3 * sum(processor) / decisions, 4), 'iterations': iterations,
            'mflop': round(flops / 1e6, 2),
            'gflops': round(flops / latency['p50'] / 1e6, 2)}


def _soak(planner: Any, decisions: int, every: int) -> dict[str, Any]:
    blocks, durations = [], []
    observations = _observations(planner, 1000)
    for step in range(decisions):
        start = time.perf_counter()
        planner.plan(observations[step % len(observations)], step)
        durations.append(time.perf_counter() - start)
        if len(durations) == every:
            blocks.append({'decisions': step + 1, 'rss_mb': round(resident_mb(), 2),
                           **milliseconds(durations)})
            durations.clear()
    return {'blocks': blocks}


if __name__ == '__main__':
    sys.exit(_main())
