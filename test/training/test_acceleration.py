# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a CUDA graph captures does nothing that a capture cannot do; no GPU is needed to see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import Tensor
from torch import bool as boolean
from torch.utils._python_dispatch import TorchDispatchMode

from spowl_ros.training.acceleration import Captured
from spowl_ros.training.config import from_dict
from spowl_ros.training.trainer import Trainer

FORBIDDEN = {
    'aten::lift_fresh': 'makes a tensor of numbers that Python holds',
    'aten::_local_scalar_dense': 'reads a number back',
    'aten::nonzero': 'has a result of unknown size',
    'aten::masked_select': 'has a result of unknown size',
}


class Watched(TorchDispatchMode):
    """Notes operations that a capture cannot hold."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.faults: set[str] = set()

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (),
                           kwargs: Any = None) -> Any:
        name = operation.name().split('.')[0]
        self.calls += 1
        if name in FORBIDDEN:
            self.faults.add(f'{name} {FORBIDDEN[name]}')
        if name == 'aten::index' and any(
                isinstance(index, Tensor) and index.dtype == boolean for index in args[1]):
            self.faults.add(f'{name} by a mask has a result of unknown size')
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize('changes', [
    {'constraint': {'kind': 'augmented'},
     'optimiser': {'average_rate': 0.1, 'entropy_target': -1.0},
     'networks': {'window': 2, 'latent_dim': 8, 'enc_dim': 8, 'mlp_dim': 8}},
    {'task': 'SafetyAntGoal1-v0', 'guide': {'gait': 'gaits/Ant.yaml'}},
], ids=['augmented, entropy, window', 'budget, gait'])
def test_a_capture_can_hold_what_is_captured(
        changes: dict[str, Any], tiny_data: dict[str, Any], tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Updates and actions, also guided and planned ones, stay on the device."""
    watched = Watched()
    captured = set()

    def call(self: Captured) -> dict[str, Tensor]:
        captured.add(self._work.__name__)
        with watched:
            return self._work()

    monkeypatch.setattr(Captured, '__call__', call)
    data = {**tiny_data, **changes}
    data['collect'] = {**data['collect'], 'action_repeat': 2, 'decisions': 42}
    data['schedule'] = {**data['schedule'], 'evaluate': 1000}
    Trainer(from_dict(data), tmp_path / 'run').run()
    assert captured == {'_learn', '_work'}  # updates, actions
    assert watched.calls > 1000
    assert not watched.faults
