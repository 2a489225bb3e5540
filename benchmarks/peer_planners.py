# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Time planners of others beside ours, at equal networks, on one core.

    git clone https://github.com/nicklashansen/tdmpc2
    git clone https://github.com/AIRI-Institute/SPOWL
    python -m benchmarks.peer_planners models/SafetyPointGoal1-v0 --tdmpc2 tdmpc2 --spowl SPOWL

Both are checkouts that you fetch; nothing of them is part of this package. TD-MPC2 needs the
package tensordict; SPOWL needs jax, equinox and optax; --python names an interpreter with them.
Their networks have the sizes of ours, or the authors' with --paper-size, and random weights. Their
search is that of their own configuration: 512 candidates, six iterations, horizon 3.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks import run_command

COLUMNS = ('planner', 'networks', 'candidates', 'iterations', 'decisions', 'p50_ms', 'p99_ms')
SEARCH = {'horizon': 3, 'num_pi_trajs': 24, 'num_samples': 512, 'num_elites': 64,
          'iterations': 6, 'min_std': 0.05, 'max_std': 2, 'temperature': 0.5}
"""The search in the configurations of both."""
PEERS = {'tdmpc2': 'TD-MPC2', 'spowl': "SPOWL, the authors'"}


def sizes(bundle: Any, paper: bool) -> dict[str, int]:
    """Return the sizes of networks, by the names that both peers give them."""
    ours = bundle.networks
    if paper:
        chosen = {'latent_dim': 512, 'mlp_dim': 512, 'enc_dim': 256, 'num_enc_layers': 2,
                  'num_q': 5, 'num_c': 5, 'num_bins': 101}
    else:
        chosen = {**{name: ours[name] for name in ('latent_dim', 'mlp_dim', 'enc_dim', 'num_q',
                                                   'num_c')},
                  'num_enc_layers': ours['enc_layers'] + 1,
                  'num_bins': ours['reward_value_bins']['count']}
    return {**chosen, 'simnorm_dim': ours['simnorm_dim'], 'obs_dim': bundle.contract.size,
            'action_dim': bundle.contract.action.size}


def measure_peer(python: str, name: str, checkout: Path, wanted: dict[str, int],
                 decisions: int) -> list[float]:
    """Return the seconds of each plan of a peer, measured in its own process on one core."""
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1',
                   'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': '--xla_cpu_multi_thread_eigen=false'}
    core = min(os.sched_getaffinity(0))
    process = subprocess.run(
        ['taskset', '-c', str(core), python, str(Path(__file__).with_name('peer_process.py')),
         name, str(checkout), json.dumps({**wanted, **SEARCH}), str(decisions)],
        env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if process.returncode:
        raise SystemExit(f'{PEERS[name]} in {checkout} did not run with {python}; its error '
                         'stands above')
    seconds: list[float] = json.loads(process.stdout.splitlines()[-1])
    return seconds


def main() -> int:
    """Measure ours and those peers whose checkout was given; write CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.
                                     RawDescriptionHelpFormatter)
    parser.add_argument('model', type=Path, metavar='MODEL')
    for name, title in PEERS.items():
        parser.add_argument(f'--{name}', type=Path, metavar='CHECKOUT', help=f'of {title}')
    parser.add_argument('--python', default=sys.executable, help='interpreter of the peers')
    parser.add_argument('--paper-size', action='store_true', help="networks of the authors' size")
    parser.add_argument('--decisions', type=int, default=50)
    args = parser.parse_args()

    import numpy as np

    from spowl_ros.control import bundle as bundles
    from spowl_ros.evaluation.latency import measure
    from spowl_ros.training.untrained import PAPER, export_untrained

    bundle = bundles.load(args.model)
    networks = "the authors' size" if args.paper_size else 'ours'
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator='\n')
    writer.writeheader()
    with tempfile.TemporaryDirectory() as folder:
        model, search = args.model, bundle.settings
        if args.paper_size:
            model = Path(folder) / 'paper'
            export_untrained(model, bundle.contract, PAPER, search, cases=1)
        found = measure(model, threads=1, decisions=args.decisions)['latency_ms']
    writer.writerow({'planner': 'spowl_ros', 'networks': networks, 'iterations': search.iterations,
                     'candidates': search.candidates, 'decisions': args.decisions,
                     'p50_ms': round(found['p50'], 2), 'p99_ms': round(found['p99'], 2)})
    for name, title in PEERS.items():
        if checkout := getattr(args, name):
            ms = 1e3 * np.array(measure_peer(args.python, name, checkout,
                                             sizes(bundle, args.paper_size), args.decisions))
            writer.writerow({'planner': title, 'networks': networks,
                             'iterations': SEARCH['iterations'],
                             'candidates': SEARCH['num_samples'], 'decisions': len(ms),
                             'p50_ms': round(float(np.median(ms)), 2),
                             'p99_ms': round(float(np.percentile(ms, 99)), 2)})
        sys.stdout.flush()
    return 0


if __name__ == '__main__':
    run_command(main)
