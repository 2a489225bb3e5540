# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The operators' layouts and the security policies are well formed and name what exists."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
import re
import xml.etree.ElementTree as ElementTree

import yaml

from spowl_ros.decision import Decision, PlanRecord
from spowl_ros.nodes import conversion
from spowl_ros.safety.reading import Reading
from spowl_ros.sim.environment import contract

CONFIG = Path(__file__).resolve().parents[2] / 'config'
TASK = 'SafetyPointGoal1-v0'
TOPICS = {'/controller/decision', '/controller/mode', '/supervisor/state', '/diagnostics',
          '/simulator/markers', '/scan', '/odom', '/goal_pose',
          *(f'/{entry.topic}' for entry in conversion.inputs(contract(TASK, 5)))}


def decision_keys() -> set[str]:
    """Return the keys of a decision's record."""
    plan = PlanRecord(**{field.name: {'source': 'plan', 'plan_action': (0.0,),
                                      'policy_action': (0.0,)}.get(field.name, 0)
                         for field in dataclasses.fields(PlanRecord)})
    decision = Decision(step=0, now_ns=0, action=(0.0,), source='plan', reason='', plan=plan,
                        readings=(Reading('model_error'),))
    return {key for key, _ in decision.to_items()}


def is_key(name: str) -> bool:
    """Whether a decision's record has this key; stages of the planner are its own."""
    return name in decision_keys() or name.startswith('seconds.')


def test_plotjuggler() -> None:
    """Each curve is a key of the decision's record."""
    root = ElementTree.parse(CONFIG / 'plotjuggler.xml').getroot()
    curves = [curve.attrib['name'] for curve in root.iter('curve')]
    assert curves
    for name in curves:
        prefix = '/controller/decision/controller: decision/'
        assert name.startswith(prefix) and is_key(name.removeprefix(prefix)), name
    assert {topic.attrib['name'] for topic in root.iter('topic')} <= TOPICS


def test_foxglove() -> None:
    """Each panel of the layout is configured, and each path begins with a topic of ours."""
    layout = json.loads((CONFIG / 'foxglove.json').read_text())

    def panels(node: object) -> set[str]:
        if isinstance(node, str):
            return {node}
        assert isinstance(node, dict)
        return panels(node['first']) | panels(node['second'])

    assert panels(layout['layout']) == set(layout['configById'])
    paths = [path['value'] for panel in layout['configById'].values()
             for path in panel.get('paths', [])]
    assert paths
    for path in paths:
        assert path.split('.')[0] in TOPICS, path
        for key in re.findall(r'key=="([^"]+)"', path):
            assert is_key(key), key


def test_rviz() -> None:
    """Each display shows a topic of ours with a class of RViz's own plugins."""
    data = yaml.safe_load((CONFIG / 'spowl.rviz').read_text())
    displays = data['Visualization Manager']['Displays']
    assert {d['Topic']['Value'] for d in displays if 'Topic' in d} <= TOPICS
    assert all(d['Class'].startswith('rviz_default_plugins/') for d in displays)


def test_only_the_supervisor_may_command() -> None:
    """In the policies every node of ours is there, and one alone publishes `command`."""
    root = ElementTree.parse(CONFIG / 'security' / 'policies.xml').getroot()
    profiles = {profile.attrib['node']: profile for profile in root.iter('profile')}
    assert set(profiles) == {'controller', 'supervisor', 'adapter', 'recorder'}
    commanding = {
        node for node, profile in profiles.items() for topics in profile.iter('topics')
        if 'publish' in topics.attrib and any(t.text == 'command' for t in topics.iter('topic'))}
    assert commanding == {'supervisor'}
