# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Sphinx builds the site from this folder: `make docs`. rosdoc2 finds this file by its place."""

from __future__ import annotations

from pathlib import Path
import sys
import xml.etree.ElementTree as ElementTree

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'docs')]

_package = ElementTree.parse(ROOT / 'package.xml').getroot()
project = 'spowl_ros'
author = 'spowl_ros contributors'
copyright = f'2026 {author}'  # noqa: A001
version = release = _package.findtext('version', '')

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'reference_pages']
exclude_patterns = ['_build']
html_theme = 'furo'
html_title = f'spowl_ros {release}'
html_copy_source = False

myst_heading_anchors = 4
nitpicky = True
nitpick_ignore_regex = [('py:.*', r'.*')]
"""Types of other packages have no page here; links between pages are checked by MyST."""
suppress_warnings = ['misc.highlighting_failure']

autodoc_member_order = 'bysource'
autodoc_typehints = 'signature'
autodoc_mock_imports = ['torch', 'onnx', 'rclpy']
"""So that the site also builds where PyTorch is not installed."""
linkcheck_ignore = ['https?://.*']
