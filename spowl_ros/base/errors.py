# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The one exception that users are meant to read."""


class SpowlError(Exception):
    """
    A mistake in an input: a file, an argument, a parameter, a model.

    The message is one line that names the thing, what it had, what was wanted, and what to do.
    The command line and the nodes print it without a traceback and exit with `EXIT_CODE`.
    """

    EXIT_CODE = 2
