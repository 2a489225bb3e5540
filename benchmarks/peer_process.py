# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Time one planner of others, in a process of `benchmarks.peer_planners`.

It imports nothing of this package, so that another interpreter can run it. Arguments: peer, its
checkout, sizes and search as JSON, number of plans. Prints the seconds of each plan as JSON.
"""

from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
import sys
import time
from types import SimpleNamespace
from typing import Any

WARM_UP = 3

Plan = Callable[[Any], Any]


def tdmpc2(checkout: Path, given: dict[str, Any]) -> Plan:
    """Return TD-MPC2's `_plan` on the CPU; its constructor wants a GPU, so we do without it."""
    sys.path.insert(0, str(checkout / 'tdmpc2'))
    from common.world_model import WorldModel
    from tdmpc2 import TDMPC2
    import torch

    torch.set_num_threads(1)
    cfg = SimpleNamespace(
        **given, multitask=False, episodic=False, obs='state', task_dim=0, dropout=0.01,
        obs_shape={'state': (given['obs_dim'],)}, log_std_min=-10, log_std_max=2, vmin=-10,
        vmax=10)
    agent = TDMPC2.__new__(TDMPC2)
    torch.nn.Module.__init__(agent)
    agent.cfg, agent.device, agent.discount = cfg, torch.device('cpu'), 0.975
    agent.model = WorldModel(cfg).eval()
    agent._prev_mean = torch.nn.Buffer(torch.zeros(cfg.horizon, cfg.action_dim))
    return lambda observation: agent._plan(torch.from_numpy(observation)[None], eval_mode=True)


def spowl(checkout: Path, given: dict[str, Any]) -> Plan:
    """Return the evaluating planner of the method's authors, compiled, for one robot."""
    sys.path.insert(0, str(checkout))
    import jax
    import jax.numpy as jnp
    from spowl.spowl import policies
    from spowl.spowl.cost_model import make_cost_model
    from spowl.spowl.world_model import WorldModel, inference

    sizes = {name: given[name] for name in (
        'obs_dim', 'num_enc_layers', 'enc_dim', 'latent_dim', 'simnorm_dim', 'action_dim',
        'mlp_dim', 'num_bins', 'num_c', 'num_q')}
    model = inference(WorldModel(
        0, **sizes, cm_dropout=0.0, dropout=0.01, log_std_min=-10, log_std_max=2,
        lagrange_multiplier_init=1e-6, penalty_multiplier_init=5e-9, vmin=-10, vmax=10,
        c_random_agg=given['num_c'], use_cost=True, use_decoder=False))
    # a second model of the cost is built in any case; this search does not use it
    cost = make_cost_model(0, False, False, 'mish', 0.0, 256, given['obs_dim'],
                           given['action_dim'], 2, 'simnorm', 8, 256, 256, 3, 'identity')
    search = {name: given[name] for name in (
        'horizon', 'num_pi_trajs', 'num_samples', 'num_elites', 'iterations', 'min_std',
        'max_std', 'temperature')}
    search.update(plan_method='adaptive', momentum=0, threshold=0.1, use_local_cost=True,
                  bootstrap_samples=1000, bootstrap_ci=95, use_ci_thresholds=False,
                  restrict_elites=True, restrict_action=True, use_cm=False, use_cost=True)
    state = {'key': jax.random.key(0),
             'mean': jnp.zeros((given['horizon'], given['action_dim']))}

    def plan(observation: Any) -> Any:
        state['key'], key = jax.random.split(state['key'])
        action, state['mean'] = policies.plan_eval_policy(
            model, cost, key, jnp.asarray(observation), state['mean'], 0.975, 0.997, search)
        return jax.block_until_ready(action)

    return plan


def main() -> None:
    """Time the plans and print them."""
    name, checkout, given, decisions = sys.argv[1:]
    import numpy as np

    settings = json.loads(given)
    plan = {'tdmpc2': tdmpc2, 'spowl': spowl}[name](Path(checkout), settings)
    random = np.random.default_rng(0)
    seconds = []
    for _ in range(WARM_UP + int(decisions)):
        observation = random.uniform(-1, 1, settings['obs_dim']).astype(np.float32)
        start = time.perf_counter()
        plan(observation)
        seconds.append(time.perf_counter() - start)
    print(json.dumps(seconds[WARM_UP:]))


if __name__ == '__main__':
    main()
