# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Settings are declared once, and read alike from everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import (
    assigned,
    changed,
    declared,
    flattened,
    group,
    meant,
    nested,
    parsed,
    read,
    setting,
    swept,
)


@dataclass(frozen=True)
class Rule:
    """A section."""

    level: str = setting('policy', 'who leads', choices=('off', 'policy'))
    count: int = setting(1, 'how often', low=1, high=9)


@dataclass(frozen=True)
class Settings:
    """A settings class with every kind of field."""

    rate: float = setting(1.0, 'how fast', low=0.0)
    name: str = setting('', 'of anything')
    switch: bool = setting(True, 'whether')
    least: float | None = None
    widths: tuple[float, ...] = ()
    pair: tuple[int, str] = (0, '')
    table: dict[str, Rule] = setting(None, 'by name')
    rule: Rule = group(Rule, count=3)
    other_rule: Rule = group(Rule)


TABLE = declared(Settings())


@pytest.mark.parametrize(('text', 'name', 'value'), [
    ('rate=2', 'rate', 2.0), ('rate = 1e-2', 'rate', 0.01), ('name=off', 'name', 'off'),
    ('name=3', 'name', '3'), ('name=a=b', 'name', 'a=b'), ('name=', 'name', ''),
    ('switch=false', 'switch', False), ('switch=TRUE', 'switch', True),
    ('rule.level=off', 'rule.level', 'off'), ('least=null', 'least', None),
    ('least=-1', 'least', -1.0), ('widths=[1, 2.5]', 'widths', (1.0, 2.5)),
    ('pair=[1, "x"]', 'pair', (1, 'x')), ('rule.count=4', 'rule.count', 4),
])
def test_values_are_read_in_the_settings_own_type(text: str, name: str, value: Any) -> None:
    """Text stays as it is written where text is wanted."""
    assert assigned(TABLE, [text]) == {name: value}


@pytest.mark.parametrize(('text', 'reason'), [
    ('rate', 'not of the form NAME=VALUE'), ('=1', 'not of the form'),
    ('rat=1', "no setting 'rat'; did you mean 'rate'"),
    ('level=off', 'could mean other_rule.level, rule.level; write it out'),
    ('rate=fast', "'rate' is 'fast' .str., wanted a number of at least 0"),
    ('rate=-1', "'rate' is -1.0, wanted a number of at least 0"),
    ('rate=.nan', 'wanted a number'), ('rate=true', 'wanted a number'),
    ('switch=on', "'switch' is 'on' .str., wanted true or false"),
    ('rule.level=loud', "wanted one of 'off', 'policy'"), ('rule.count=2.5', 'an integer from 1'),
    ('rule.count=' + '9' * 5000, '5000 characters'), ('widths=[a]', 'no JSON'),
    ('widths=' + '[' * 100_000, 'no JSON'), ('widths=["a"]', 'each a number|wanted a number'),
    ('pair=[1]', 'a list of an integer, a text'),
])
def test_a_wrong_value_is_one_line(text: str, reason: str) -> None:
    """The line names the setting, what it had and what was wanted."""
    with pytest.raises(SpowlError, match=reason) as error:
        assigned(TABLE, [text])
    assert len(str(error.value)) < 300


def test_short_names_are_those_of_the_home_first() -> None:
    """A name without its section is looked for at home, then everywhere."""
    assert assigned(TABLE, ['level=off'], home='rule.') == {'rule.level': 'off'}
    assert assigned(TABLE, ['name:=x'], ':=') == {'name': 'x'}
    assert swept(TABLE, ['rule.count=1,2', 'rate=1, 2']) == {
        'rule.count': [1, 2], 'rate': [1.0, 2.0]}


def test_changes_reach_sections_and_are_checked() -> None:
    """Only what is named changes."""
    new = changed(Settings(), {'rule.count': 4, 'rate': 2})
    assert (new.rule, new.rate) == (Rule('policy', 4), 2.0)
    assert parsed(new, {'name': 'off'}).name == 'off'
    assert flattened(new)['rule.count'] == 4
    assert nested({'a.b': 1, 'a.c': 2, 'd': 3}) == {'a': {'b': 1, 'c': 2}, 'd': 3}
    with pytest.raises(SpowlError, match="ROS reads a bare on, off.* write 'off' in quotes"):
        changed(new, {'rule.level': False})


def test_dicts_are_read_over_the_classes_own_sections() -> None:
    """A section that is given in part keeps the rest of its defaults."""
    found = read(Settings, {'rule': {'level': 'off'}, 'widths': [1, 2],
                            'table': {'x': {'count': 2}}})
    assert found.rule == Rule('off', 3)
    assert found.widths == (1.0, 2.0)
    assert found.table == {'x': Rule('policy', 2)}
    for data, reason in (
            ({'rulle': {}}, "no key 'rulle'; did you mean 'rule'"),
            ({'rule': {'levle': 1}}, "'rule.levle'; did you mean 'rule.level'"),
            ({'rule': {'level': 1}}, "'rule.level' is 1 .int., wanted one of"),
            ({'rule': 3}, 'rule is 3, wanted a mapping'), ([], 'wanted a mapping'),
            ({'table': {'x': {'count': 0}}}, "'table.x.count' is 0, wanted an integer from 1")):
        with pytest.raises(SpowlError, match=reason):
            read(Settings, data)


def test_a_complaint_names_few() -> None:
    """Of few names all are told; of many the nearest three; one that is near alone."""
    many = [f'section{number}.option{number}' for number in range(100)] + ['network.width']
    assert meant('xyz', ['a', 'b']) == 'there are a, b'
    assert meant('network.widht', many) == "did you mean 'network.width'?"
    told = meant('width', many)
    assert told.startswith('the nearest of 101 are network.width, ') and told.count(',') == 2
