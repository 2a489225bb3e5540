# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Plain English: proselint and a short list of phrases find nothing in the pages.

proselint is the prose linter that PyPI has whole; Vale is a binary and textlint needs Node.
"""

from __future__ import annotations

from pathlib import Path
import re
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob('*.md')), *sorted(ROOT.glob('docs/*.md'))]
LEFT_OUT = ('typography', 'lexical_illusions', 'annotations')
"""Checks of proselint that stumble over code: straight quotes, repeated arguments, TODO."""
PHRASES = {
    r'\bit is said\b': 'say who or what says it: the report gives …',
    r'\b(is|are) told\b': 'say who tells: the state names …',
    r'\b[Ww]hoever\b': 'who, or name them',
    r'\b[Ll]ikewise\b': 'the same, or say it',
    r'\banew\b': 'again',
    r'\bamount(s|ed) to\b': 'is',
    r'\bmeanwhile\b': 'until then, or leave it out',
    r', for (it|they|there|the) ': 'because',
    r'\bstands? in\b': 'is in',
    r'\bof one\'s own\b': 'of your own',
    r'\bdoes not matter whether\b': 'say what holds',
    r'\b(utilize|leverage|seamless|robustly|cutting-edge)\b': 'say what it does',
}
"""What we do not write, and what to write in its place."""


def prose(page: Path) -> str:
    """Return a page with its code blocks and code spans blanked, line for line."""
    text = re.sub(r'^```.*?^```', lambda block: '\n' * block[0].count('\n'),
                  page.read_text(encoding='utf-8'), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r'`[^`\n]+`', '`…`', text)


def found(page: Path) -> list[str]:
    """Return each phrase of the list that a page has, with its line."""
    return [f'{page.name}:{number}: "{match[0]}": {better}'
            for number, line in enumerate(prose(page).splitlines(), 1)
            for phrase, better in PHRASES.items() for match in re.finditer(phrase, line)]


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_no_page_has_a_phrase_of_the_list(page: Path) -> None:
    """Sentences are read once: none has a phrase that turns it round."""
    assert found(page) == []


def test_proselint_finds_nothing(tmp_path: Path) -> None:
    """The linter's own checks find nothing in the pages' prose."""
    assert len(PAGES) > 15
    for page in PAGES:
        (tmp_path / page.name).write_text(prose(page), encoding='utf-8')
    done = subprocess.run(
        [Path(sys.executable).with_name('proselint'), '-o', 'compact', 'check',
         *sorted(tmp_path.glob('*.md'))], capture_output=True, text=True, check=False)
    assert not done.stderr
    assert not [line for line in done.stdout.splitlines()
                if not any(f': {check}' in line for check in LEFT_OUT)]


def test_the_list_finds_what_it_is_for(tmp_path: Path) -> None:
    """A turned sentence is found, and code is left alone."""
    page = tmp_path / 'page.md'
    page.write_text('Here it is said why.\n\n```sh\necho anew\n```\n`anew`\n')
    assert [line.partition(' ')[0] for line in found(page)] == ['page.md:1:']
