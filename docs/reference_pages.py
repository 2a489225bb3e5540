# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Pages of the site that are written from the code when it is built.

The directives `spowl-commands` and `spowl-training-options` stand in cli.md and
training_options.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive
from generate_parameters import row

from spowl_ros.base.settings import Setting
from spowl_ros.cli.main import parsers


def commands() -> Iterator[str]:
    """Yield the lines of Markdown for every verb of `spowl`."""
    for name, command in parsers()[1].items():
        yield from (f'## spowl {name}', '', '```text', command.format_help().rstrip(), '```', '')


def training_options() -> Iterator[str]:
    """Yield the lines of Markdown for every training option, a table a section."""
    from spowl_ros.training.config import settings
    sections: dict[str, list[Setting]] = defaultdict(list)
    for entry in settings():
        sections[entry.name.rpartition('.')[0]].append(entry)
    for section, entries in sections.items():
        yield from (f'## {section or "The run"}', '', '| option | default | takes | meaning |',
                    '|---|---|---|---|')
        yield from map(row, entries)
        yield ''


class Page(Directive):
    """Put Markdown that a function yields in the directive's place."""

    lines: ClassVar[Any]

    def run(self) -> list[nodes.Node]:
        """Return the nodes of the lines."""
        self.state.document.settings.record_dependencies.add(__file__)
        parent = nodes.section()
        self.state.nested_parse(list(type(self).lines()), 0, parent, match_titles=True)
        return parent.children


def setup(app: Any) -> dict[str, bool]:
    """Register the directives with Sphinx."""
    for name, function in (('spowl-commands', commands),
                           ('spowl-training-options', training_options)):
        app.add_directive(name, type(name, (Page,), {'lines': staticmethod(function)}))
    return {'parallel_read_safe': True}
