# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A person takes over on real processes, and the e-stop topic stops whoever drives."""

from __future__ import annotations

from collections.abc import Iterator
import math
from pathlib import Path
import time

import pytest
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from benchmarks.faults import System, running, wait_until_driving
from benchmarks.operation import Joystick, answer, longest_gap, take_over, wait
from spowl_ros.control import bundle

pytestmark = pytest.mark.slow


@pytest.fixture
def driving(untrained_bundle: Path, ros_domain: int) -> Iterator[System]:
    """Return a system that drives and hears a joystick."""
    with running(untrained_bundle, bundle.read_contract(untrained_bundle)) as system:
        system.specs['controller'].parameters['operator.input'] = 'joy'
        system.start('controller')
        wait_until_driving(system)
        yield system


def sources(system: System, since: float) -> list[str]:
    """Return the sources of the decisions since a steady time, each once in a row."""
    found = [decision.source for when, decision in list(system.stand.decisions) if when > since]
    return [source for before, source in zip([None, *found], found) if source != before]


def test_the_button_takes_over_and_silence_stops(driving: System) -> None:
    """The robot gets what is pushed, within the supervisor's limits, and no command is late."""
    stand = driving.stand
    joystick = Joystick(driving)
    wait(lambda: stand.node.count_subscribers('joy'))
    began = time.monotonic()
    assert take_over(driving, joystick, 0.5) < 2.0
    wait(lambda: sources(driving, began)[-1:] == ['operator'])  # told after the command
    joystick.held = False
    wait(lambda: sources(driving, began)[-1] in ('plan', 'policy'))
    time.sleep(5 * stand.contract.control_period)  # a gap needs two commands
    assert longest_gap(driving, began, time.monotonic()) < 5 * stand.contract.control_period
    joystick.axes, joystick.held = [math.nan, 0.0], True
    wait(lambda: 'understood' in stand.decisions[-1][1].reason)
    take_over(driving, joystick, 0.25)
    lost = time.monotonic()
    joystick.close()
    assert stand.wait_for_command(lost, True, 30.0)
    wait(lambda: stand.decisions[-1][1].source == 'stop')
    decision = stand.decisions[-1][1]
    assert (decision.source, decision.monitor) == ('stop', 'operator')
    assert 'silent' in decision.reason
    hand_back = stand.node.create_client(Trigger, 'controller/hand_back')
    assert answer(hand_back, Trigger.Request()).success
    wait(lambda: sources(driving, lost)[-1] in ('plan', 'policy'))


def test_an_estop_that_falls_silent_or_is_pressed_stops_until_released(driving: System) -> None:
    """A heartbeat once heard must go on; a release counts only while it does."""
    stand = driving.stand
    estop = stand.node.create_publisher(Bool, 'estop', 10)
    release = stand.node.create_client(Trigger, 'supervisor/release')
    pressed = [False]
    beating = stand.node.create_timer(0.05, lambda: estop.publish(Bool(data=pressed[0])))
    wait(lambda: stand.node.count_subscribers('estop'))
    time.sleep(1.0)
    assert stand.supervisor.message == 'passing'
    pressed[0] = True
    wait(lambda: 'the e-stop is pressed' in stand.supervisor.message)
    assert 'pressed' in answer(release, Trigger.Request()).message
    assert stand.is_stop(stand.commands[-1][1])
    pressed[0] = False
    wait(lambda: answer(release, Trigger.Request()).success)
    wait(lambda: stand.supervisor.message == 'passing')
    lost = time.monotonic()
    stand.node.destroy_timer(beating)
    wait(lambda: 'was not heard for more than' in stand.supervisor.message)
    stopped, _ = stand.wait_for_command(lost, True, 30.0)
    assert 0.3 < stopped - lost < 3.0
    assert not answer(release, Trigger.Request()).success
