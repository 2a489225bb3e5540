# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A person takes over with the button held, hands back by letting go, and is missed when lost."""

from __future__ import annotations

from dataclasses import replace
import math
from pathlib import Path

import numpy as np
import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.control import bundle
from spowl_ros.control.controller import Controller
from spowl_ros.control.decision import Decision
from spowl_ros.control.monitors.base import Level
from spowl_ros.control.observation import Observation
from spowl_ros.control.operator import OperatorCommands, OperatorSettings, Takeover
from spowl_ros.replay.replay import differing

JOY = OperatorSettings(input='joy', button=1, axes='2 -0', timeout=0.3)
HELD, FREE = (0, 1), (0, 0)


@pytest.fixture
def controller(untrained_bundle: Path) -> Controller:
    """Return a controller."""
    return Controller(bundle.load(untrained_bundle))


@pytest.fixture
def operator(controller: Controller) -> OperatorCommands:
    """Return an operator at a joystick."""
    return OperatorCommands(JOY, controller.contract.action)


def sensed(controller: Controller, step: int, first: float = 0.1) -> Observation:
    """Return what a robot that stands still senses."""
    count = len(controller.contract.fields)
    now_ns = 10**12 + step * 10**8
    values = np.full(controller.contract.size, 0.1, np.float32)
    values[0] = first
    return Observation(values=values, now_ns=now_ns, stamps_ns=np.full(count, now_ns),
                       silences=np.zeros(count))


def test_only_a_held_button_drives(operator: OperatorCommands) -> None:
    """Axes are mapped and turned, beyond their ends they are at their ends; letting go ends it."""
    assert operator.take(0.0) is None
    operator.hear_joystick((0.5, 0.0, 1.0), FREE, 0.0)
    assert operator.take(0.1) is None
    operator.hear_joystick((0.5, 0.0, 1.0), HELD, 0.2)
    assert operator.take(0.3).action == (1.0, -0.5)
    assert operator.hand_back(0.3).startswith('the operator drives')
    operator.hear_joystick((0.5, 0.0, 1.0), FREE, 0.4)
    assert operator.take(0.4) is None


def test_an_operator_lost_is_a_stop_until_heard_or_handed_back(
        operator: OperatorCommands, controller: Controller) -> None:
    """Silence while the button is held stops the robot; who wants otherwise says so before."""
    operator.hear_joystick((0.5, 0.0, 1.0), HELD, 0.0)
    lost = operator.take(0.31)
    assert lost.action == () and 'silent for 0.31 s' in lost.reason
    assert operator.take(100.0).action == ()
    assert operator.hand_back(100.0) == '' and operator.take(100.0) is None
    assert operator.hand_back(100.0) == 'no operator drives'
    easy = OperatorCommands(replace(JOY, silence='release'), controller.contract.action)
    easy.hear_joystick((0.5, 0.0, 1.0), HELD, 0.0)
    assert easy.take(0.31) is None


@pytest.mark.parametrize(('axes', 'buttons'), [
    ((0.0, 0.0), HELD), ((0.0, 0.0, 0.0), (1,)), ((math.nan, 0.0, 0.0), HELD),
    ((0.0, 0.0, math.inf), HELD), ((0.0, 0.0, 1.3), HELD), ((0.0, 0.0, 0.0), (0, -7)),
    ((0.0, 0.0, 0.0), (0, 2))])
def test_what_is_not_understood_is_not_heard(operator: OperatorCommands, axes: tuple[float, ...],
                                             buttons: tuple[int, ...]) -> None:
    """Missing axes or buttons and impossible numbers neither begin nor keep up a takeover."""
    operator.hear_joystick((0.5, 0.0, 1.0), HELD, 0.0)
    with pytest.raises(SpowlError, match='joystick'):
        operator.hear_joystick(axes, buttons, 0.2)
    assert operator.take(0.31).action == ()


def test_a_message_that_is_not_understood_is_a_stop_until_one_is(
        operator: OperatorCommands) -> None:
    """Perhaps the button is held: nothing else drives, then as after a silence."""
    operator.mishear(0.0)
    assert operator.take(0.1).action == () and 'understood' in operator.take(0.1).reason
    assert operator.take(0.4).action == () and 'silent' in operator.take(0.4).reason
    operator.hear_joystick((0.5, 0.0, 1.0), FREE, 0.5)
    assert operator.take(0.6) is None


@pytest.mark.parametrize('axes', ['1', '1 2 3', 'left right', ''])
def test_axes_must_fit_the_actuators(controller: Controller, axes: str) -> None:
    """One number for each."""
    with pytest.raises(SpowlError, match='wanted the number of an axis for each'):
        OperatorCommands(replace(JOY, axes=axes), controller.contract.action)


def test_every_decision_says_it_and_is_made_again(controller: Controller) -> None:
    """Source and reason are recorded; what was recorded gives the same decisions again."""
    drive = Takeover((0.3, -0.7), 'the operator drives', Level.POLICY)
    wanted = [None, drive, drive, Takeover((), 'the operator is silent'), drive, None]
    again = Controller(controller.bundle)
    sources = []
    for step, takeover in enumerate(wanted):
        observation = sensed(controller, step, math.nan if step == 4 else 0.1)
        decision = controller.decide(observation, operator=takeover)
        read = Decision.from_items(decision.to_items())
        assert differing(read, again.decide(observation,
                                            operator=Takeover.recorded(read))) == ()
        sources.append((decision.source, decision.monitor))
        if decision.source == 'operator':
            assert decision.action == drive.action
    assert sources[1:] == [('operator', 'operator'), ('operator', 'operator'),
                           ('stop', 'operator'), ('stop', 'values'), ('stop', 'values')]


def test_an_operator_may_overrule_a_stop_where_that_is_set(controller: Controller) -> None:
    """With `overrules` at stop he drives though a sensor is broken."""
    decision = controller.decide(sensed(controller, 0, math.nan),
                                 operator=Takeover((0.3, -0.7), 'the operator drives'))
    assert (decision.source, decision.action) == ('operator', (0.3, -0.7))
