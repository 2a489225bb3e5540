# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Latency of a bundle's planner on this machine.

A separate process, ``python -m spowl_ros.evaluation.latency``, makes every measurement. So memory
and cold start are the planner's alone, and the thread count is the requested one.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
import subprocess
import sys
import time
from typing import Any

from spowl_ros.base.errors import SpowlError

PARTS = (50.0, 95.0, 99.0, 99.9)
WARM_UP = 20
PEAK_SIZE = 1024
PEAK_RUNS = 8


def measure(bundle: Path, *, threads: int, decisions: int,
            iterations: int = 0) -> dict[str, Any]:
    """
    Measure in a fresh process: total latency and by stage, policy alone, cold start, memory.

    :param decisions: number of timed decisions, after a warm-up
    :param iterations: improvements of each plan; 0: as in the bundle's settings
    :return: latency_ms, stages, policy_ms (each p50, p95, p99, p99.9, max), load_seconds,
        start_seconds (of the whole process until ready), rss_mb, gflops, peak_gflops, iterations
    :raises SpowlError: the bundle is damaged
    """
    return run_process(bundle, '--threads', str(threads), '--decisions', str(decisions),
                       '--iterations', str(iterations), threads=threads)


def soak(bundle: Path, *, threads: int, decisions: int, every: int) -> dict[str, Any]:
    """
    Plan many times; return resident memory and latency for each block of decisions.

    :return: blocks, each with decisions, rss_mb, and latency percentiles in milliseconds
    :raises SpowlError: the bundle is damaged
    """
    return run_process(bundle, '--threads', str(threads), '--decisions', str(decisions),
                       '--every', str(every), threads=threads)


def run_process(bundle: Path, *arguments: str, threads: int) -> dict[str, Any]:
    """Run this module as a process and return the JSON that it prints."""
    environment = {**os.environ, 'OPENBLAS_NUM_THREADS': str(threads),
                   'OMP_NUM_THREADS': str(threads)}
    process = subprocess.run([sys.executable, '-m', __name__, str(bundle), *arguments],
                             env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if process.returncode:
        raise SpowlError(f'measuring {bundle} failed with exit code {process.returncode}: '
                         f'{process.stdout.strip()}')
    result: dict[str, Any] = json.loads(process.stdout)
    return result


def milliseconds(seconds: list[float]) -> dict[str, float]:
    """Return percentiles of durations in milliseconds."""
    from spowl_ros.base.statistics import latency_ms

    return {name: round(value, 4) for name, value in latency_ms(seconds, PARTS).items()}


def peak_gflops() -> float:
    """Return the peak rate of this process's matrix product, in 1e9 operations per second."""
    import numpy as np

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
    parser = argparse.ArgumentParser()
    parser.add_argument('bundle', type=Path)
    parser.add_argument('--threads', type=int, required=True)
    parser.add_argument('--decisions', type=int, required=True)
    parser.add_argument('--iterations', type=int, default=0)
    parser.add_argument('--every', type=int, default=0)
    args = parser.parse_args()

    from spowl_ros.control import bundle as bundles
    from spowl_ros.control.policy import planner_of

    try:
        start = time.perf_counter()
        bundle = bundles.load(args.bundle, threads=args.threads)
        planner = planner_of(bundle, threads=args.threads)
    except SpowlError as error:
        print(error)
        return error.EXIT_CODE
    ready = time.perf_counter()
    age = process_age()
    if args.every:
        result = _soak(planner, args.decisions, args.every)
    else:
        result = _measure(planner, args.decisions, args.iterations or planner.settings.iterations)
        result['rss_mb'] = round(resident_mb(), 1)
        result['peak_gflops'] = round(peak_gflops(), 2)
    assert 'torch' not in sys.modules
    result.update(load_seconds=round(ready - start, 3), start_seconds=round(age, 3))
    print(json.dumps(result))
    return 0


def _observations(planner: Any, count: int) -> Any:
    import numpy as np

    random = np.random.default_rng(0)
    return random.uniform(-1, 1, (count, planner.bundle.contract.size)).astype(np.float32)


def _measure(planner: Any, decisions: int, iterations: int) -> dict[str, Any]:
    total: list[float] = []
    processor = 0.0
    warm_up = min(WARM_UP, decisions)
    stages: dict[str, list[float]] = {}
    for step, observation in enumerate(_observations(planner, warm_up + decisions)):
        start, used = time.perf_counter(), time.process_time()
        plan = planner.plan(observation, step, iterations=iterations)
        duration = time.perf_counter() - start
        if step >= warm_up:
            processor += time.process_time() - used
            total.append(duration)
            for name, seconds in plan.seconds.items():
                stages.setdefault(name, []).append(seconds)
    policy = []
    for step, observation in enumerate(_observations(planner, warm_up + decisions)):
        start = time.perf_counter()
        planner.plan(observation, step, iterations=0)
        if step >= warm_up:
            policy.append(time.perf_counter() - start)
    flops = sum(graph.flops * (iterations if name == 'improve' else 1)
                for name, graph in planner.bundle.graphs.items()
                if name in stages)  # without planning only the first
    latency = milliseconds(total)
    return {'latency_ms': latency, 'policy_ms': milliseconds(policy),
            'stages': {name: milliseconds(values) for name, values in stages.items()},
            'cpu_ms': round(1e3 * processor / decisions, 4), 'iterations': iterations,
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
            blocks.append({'decisions': step + 1,
                           'rss_mb': round(resident_mb(), 2),
                           **milliseconds(durations)})
            durations.clear()
    return {'blocks': blocks}


if __name__ == '__main__':
    sys.exit(_main())
