# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Constraints: how multipliers move, and that a kind of constraint is one class."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import pytest
import torch
from torch import Tensor

from spowl_ros.base.errors import SpowlError
from spowl_ros.training import constraint
from spowl_ros.training.config import from_dict, overridden
from spowl_ros.training.constraint import (
    AugmentedLagrangian,
    BudgetController,
    Constraint,
    State,
)
from spowl_ros.training.population import members


def start(settings: Constraint) -> State:
    """Return a fresh state."""
    return {name: torch.tensor(value, dtype=torch.float64)
            for name, value in settings.start().items()}


def after(settings: Constraint, state: State, costs: list[float]) -> list[float]:
    """Return the multipliers after each of some episodes."""
    path = []
    for cost in costs:
        state |= settings.after_episode(state, torch.tensor(cost, dtype=torch.float64))
        path.append(float(state['multiplier']))
    return path


def test_multiplier_follows_the_budget() -> None:
    """Cost above the budget raises the multiplier, below lowers it, and bounds hold."""
    control = BudgetController(budget=1.0, multiplier=0.1, multiplier_max=5.0)
    path = after(control, start(control), 200 * [30.0] + 400 * [0.0])
    assert path[0] > 0.1
    assert max(path) == pytest.approx(5.0)
    assert path[199] == pytest.approx(5.0)
    assert path[-1] < 0.1  # no wind-up: it came all the way back
    assert min(path) >= control.multiplier_min


def test_a_proportional_part_answers_at_once_and_forgets() -> None:
    """With it alone the multiplier is above its start while too much costs, and no longer."""
    control = BudgetController(integral_gain=0.0, proportional_gain=1.0, smoothing=1.0)
    path = after(control, start(control), [9.0, 9.0, 1.0])
    assert path[0] == path[1] > 0.1
    assert path[2] == pytest.approx(0.1)


def test_authors_multiplier_saturates() -> None:
    """The authors' multiplier grows while the constraint is violated, up to its bound."""
    control = AugmentedLagrangian(limit=0.1, penalty=0.5, multiplier_max=10.0)
    state = start(control)
    for _ in range(30):
        state = control.after_update(state, torch.tensor(2.0, dtype=torch.float64))
    assert float(state['multiplier']) == 10.0
    assert float(control.psi(state, torch.tensor(2.0))) > float(
        control.psi(state, torch.tensor(1.0))) > 0


@pytest.mark.parametrize(('kind', 'name'), [
    ('budget', 'budget'), ('augmented', 'budget'), ('augmented', 'penalty'),
    ('augmented', 'penalty_max')])
def test_what_a_constraint_divides_by_is_above_zero(kind: str, name: str) -> None:
    """Zero would make the multiplier NaN; it is refused wherever it is given, the least works."""
    base, full = {'task': 'T', 'constraint': {'kind': kind}}, f'constraint.{name}'
    config = from_dict(base)
    for give in (lambda: from_dict({'task': 'T', 'constraint': {'kind': kind, name: 0}}),
                 lambda: overridden(config, [f'{full}=0']),
                 lambda: members(config, [0], [f'{full}=0,1']),
                 lambda: from_dict({**base, 'phases': [{'settings': {full: 0}}]})):
        with pytest.raises(SpowlError, match=f'{name}.*(of at least|at the beginning)') as caught:
            give()
        assert '\n' not in str(caught.value)
    least = overridden(config, ['constraint.budget=0.001']).constraint
    assert torch.isfinite(torch.tensor(after(least, start(least), 3 * [0.0] + 3 * [9.0]))).all()


def test_a_constraint_is_tightened_under_way() -> None:
    """The multiplier goes on from where it was, towards another budget."""
    state = start(BudgetController(budget=2.0, multiplier=0.3))
    before = after(BudgetController(budget=2.0), state, [1.0])[0]
    assert after(BudgetController(budget=0.5, multiplier_max=0.8), state, [1.0])[0] > before


@dataclass(frozen=True)
class FixedPrice(Constraint):
    """What a stranger would write: cost has a price that never changes."""

    kind: str = 'fixed_price'
    price: float = 0.5

    def start(self) -> dict[str, float]:
        """Return the price."""
        return {'multiplier': self.price}

    def loss(self, state: State, value: Tensor, cost_value: Tensor, weight: Tensor,
             scale: Tensor) -> Tensor:
        """Charge it."""
        return ((value + self.price * cost_value / scale) * weight).sum()


def test_a_kind_of_constraint_is_one_class() -> None:
    """A class makes a configuration's `constraint.kind` known, with its own settings."""
    config = from_dict({'task': 'T', 'constraint': {'kind': 'fixed_price', 'price': 2}})
    assert config.constraint == FixedPrice(price=2.0)
    assert from_dict(config.to_dict()) == config
    with pytest.raises(SpowlError, match='constraint.limit'):
        from_dict({'task': 'T', 'constraint': {'kind': 'fixed_price', 'limit': 3.0}})
    with pytest.raises(SpowlError, match='must be one of augmented, budget, fixed_price'):
        constraint.from_dict({'kind': 'none'})


def test_old_files_with_every_kinds_settings_are_read() -> None:
    """Settings of another kind are no error where they say what that kind does anyhow."""
    old = {**asdict(BudgetController(budget=0.7)), 'limit': 0.1}
    assert constraint.from_dict(old) == BudgetController(budget=0.7)
