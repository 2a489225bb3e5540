# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Train two policies briefly by other people's libraries and export them, for the tests beside this.

Neither library installs with our pins, so they come from an environment of their own, whose
packages are looked for after ours::

    python -m venv other
    other/bin/pip install torch==2.13.0 stable-baselines3==2.9.2 rsl-rl-lib==5.5.1 onnxscript
    python test/training/policies/make_policies.py other/lib/python3.*/site-packages
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
import sys
from typing import Any

import gymnasium
import numpy as np
import torch

from spowl_ros.base import yaml
from spowl_ros.control.contract import Contract
from spowl_ros.sim import environment

HERE = Path(__file__).resolve().parent
TASK, REPEAT = 'SafetyPointGoal1-v0', 5
STEPS = 8192
CASES = 16


class Gym(gymnasium.Env[np.ndarray, np.ndarray]):
    """Our environment as Gymnasium has it; it charges for cost."""

    def __init__(self, seed: int) -> None:
        self.inner = environment.make(TASK, seed, REPEAT)
        contract = self.inner.contract
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (contract.size,))
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (contract.action.size,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        """Begin an episode."""
        return self.inner.reset(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Hold an action."""
        done = self.inner.step(np.clip(action, -1.0, 1.0))
        return (done.observation, done.reward - 0.1 * done.cost, done.terminated, done.truncated,
                {})


def sb3() -> None:
    """PPO of stable-baselines3; its network is exported as its documentation shows."""
    from stable_baselines3 import PPO

    class Exported(torch.nn.Module):
        """What acts: observation in; action, value and log probability out."""

        def __init__(self, policy: Any) -> None:
            super().__init__()
            self.policy = policy

        def forward(self, observation: torch.Tensor) -> Any:
            """Act deterministically."""
            return self.policy(observation, deterministic=True)

    model = PPO('MlpPolicy', Gym(0), n_steps=1024, batch_size=256, seed=0, device='cpu')
    model.learn(STEPS)
    observations = seen()
    torch.onnx.export(Exported(model.policy), (torch.from_numpy(observations[:1]),),
                      str(HERE / 'sb3.onnx'), opset_version=17, dynamo=False,
                      input_names=['input'], output_names=['action', 'value', 'log_prob'],
                      dynamic_axes={'input': {0: 'batch'}})
    actions = np.concatenate([model.predict(row[None], deterministic=True)[0]
                              for row in observations])
    save('sb3', observations, actions, {'output': 'action'})


def rsl_rl() -> None:
    """PPO of rsl_rl with its observation normaliser; exported by its own runner."""
    from rsl_rl.env import VecEnv
    from rsl_rl.runners import OnPolicyRunner
    from tensordict import TensorDict

    class Vector(VecEnv):
        """Four of our environments in a row."""

        def __init__(self) -> None:
            self.all = [Gym(seed) for seed in range(4)]
            self.num_envs, self.num_actions = 4, 2
            self.max_episode_length, self.device, self.cfg = 200, 'cpu', {}
            self.episode_length_buf = torch.zeros(4, dtype=torch.long)
            self.rows = np.stack([env.reset()[0] for env in self.all])

        def get_observations(self) -> TensorDict:
            """Return what they see."""
            rows = torch.from_numpy(self.rows.astype(np.float32))
            return TensorDict({'policy': rows}, batch_size=[4])

        def step(self, actions: torch.Tensor) -> Any:
            """Step each, and begin anew where one has ended."""
            rewards, ends = [], []
            for i, env in enumerate(self.all):
                self.rows[i], reward, done, late, _ = env.step(actions[i].numpy())
                rewards.append(reward)
                ends.append(done or late)
                if ends[-1]:
                    self.rows[i] = env.reset()[0]
            return (self.get_observations(), torch.tensor(rewards, dtype=torch.float32),
                    torch.tensor(ends), {})

    network = {'class_name': 'MLPModel', 'hidden_dims': [64, 64], 'activation': 'elu',
               'obs_normalization': True}
    runner = OnPolicyRunner(Vector(), {
        'num_steps_per_env': 128, 'save_interval': 1000, 'seed': 0, 'logger': 'tensorboard',
        'obs_groups': {'actor': ['policy'], 'critic': ['policy']},
        'actor': {**network, 'distribution_cfg': {
            'class_name': 'GaussianDistribution', 'init_std': 1.0, 'std_type': 'scalar'}},
        'critic': network,
        'algorithm': {'class_name': 'PPO', 'num_learning_epochs': 5, 'num_mini_batches': 4,
                      'learning_rate': 1e-3, 'schedule': 'adaptive', 'desired_kl': 0.01,
                      'entropy_coef': 0.003, 'gamma': 0.97, 'lam': 0.95, 'clip_param': 0.2,
                      'value_loss_coef': 1.0, 'use_clipped_value_loss': True,
                      'max_grad_norm': 1.0, 'rnd_cfg': None, 'symmetry_cfg': None}},
        log_dir=None, device='cpu')
    runner.learn(STEPS // 512)
    runner.export_policy_to_onnx(str(HERE), 'rsl_rl.onnx')
    observations = seen()
    act = runner.get_inference_policy()
    with torch.no_grad():
        actions = act(TensorDict({'policy': torch.from_numpy(observations)},
                                 batch_size=[len(observations)])).numpy()
    save('rsl_rl', observations, np.clip(actions, -1.0, 1.0), {})


def seen() -> np.ndarray:
    """Return observations of random driving, shape (CASES, O)."""
    env, random = Gym(5), np.random.default_rng(0)
    rows = [env.reset()[0]]
    while len(rows) < CASES:
        for _ in range(3):
            row = env.step(random.uniform(-1.0, 1.0, 2))[0]
        rows.append(row)
    return np.stack(rows).astype(np.float32)


def save(name: str, observations: np.ndarray, actions: np.ndarray, policy: dict) -> None:
    """Write the golden vectors and the contract."""
    contract: Contract = replace(environment.contract(TASK, REPEAT))
    commands = np.stack([contract.action.command(action) for action in actions])
    np.savez_compressed(HERE / f'{name}.npz', observation=observations,
                        command=commands.astype(np.float32))
    low, high = np.array(contract.action.low), np.array(contract.action.high)
    policy = {**policy, 'scale': ((high - low) / 2).tolist(),
              'offset': ((high + low) / 2).tolist()}
    (HERE / f'{name}.yaml').write_text(yaml.dump({**contract.to_dict(), 'policy': policy}))


if __name__ == '__main__':
    sys.path.append(sys.argv[1])
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for make in sys.argv[2:] or ('sb3', 'rsl_rl'):
        globals()[make]()
