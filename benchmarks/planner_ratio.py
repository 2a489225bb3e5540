# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Compare the time of a plan with that of a matrix product: python -m benchmarks.planner_ratio MODEL.

The ratio says how fast the planner is, whatever the processor. Plan and product take turns on one
thread of ONNX Runtime. Each counts with the least processor time that it took, because other
programs can only slow it down. With --store the ratio is written to RESULT, with which a test
compares.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import time
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks import run_command
from spowl_ros.base.files import write_json
from spowl_ros.control import bundle as bundles
from spowl_ros.control.planner import Planner
from spowl_ros.control.providers import CPU, open_session

RESULT = Path(__file__).parent / 'results' / 'planner_ratio.json'
SIZE = 256
"""Of the square matrices: 34 MFLOP, so that a product ends before the scheduler interrupts it."""
ROUNDS = 200


def measure(bundle: bundles.Bundle, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return the least times of a plan and of a product in ms, and their ratio."""
    planner = Planner(bundle)
    random = np.random.default_rng(0)
    session = open_session('matrix product', _product(random), None, 1, CPU)
    given = {'x': random.standard_normal((SIZE, SIZE), np.float32)}
    observations = random.uniform(-1, 1, (rounds, bundle.contract.size)).astype(np.float32)
    plan = product = float('inf')
    for step, observation in enumerate(observations):
        start = time.thread_time()
        session.run(None, given)
        between = time.thread_time()
        planner.plan(observation, step, iterations=planner.settings.iterations)
        product, plan = min(product, between - start), min(plan, time.thread_time() - between)
    return {'model': bundle.directory.name, 'plan_ms': round(1e3 * plan, 4),
            'product_ms': round(1e3 * product, 4), 'ratio': round(plan / product, 3)}


def _product(random: np.random.Generator) -> bytes:
    """Return a graph of one product of square matrices."""
    weights = numpy_helper.from_array(random.standard_normal((SIZE, SIZE), np.float32), 'w')
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (SIZE, SIZE))
              for name in 'xy']
    graph = helper.make_graph([helper.make_node('MatMul', ['x', 'w'], ['y'])], 'product',
                              values[:1], values[1:], [weights])
    model: onnx.ModelProto = helper.make_model(
        graph, ir_version=10, opset_imports=[helper.make_opsetid('', 20)])
    return model.SerializeToString()


def main() -> None:
    """Measure, print, and store if wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('model', type=Path, metavar='MODEL', help='directory of the bundle')
    parser.add_argument('--store', action='store_true', help='write the ratio to RESULT')
    args = parser.parse_args()
    result = measure(bundles.load(args.model))
    print(result)
    if args.store:
        write_json(RESULT, result)


if __name__ == '__main__':
    run_command(main)
