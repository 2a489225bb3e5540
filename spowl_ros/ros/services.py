# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Services of std_srvs: something is done or refused, and one sentence says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from spowl_ros.base.errors import SpowlError

if TYPE_CHECKING:
    from rclpy.node import Node


def serve(node: Node, kind: Any, name: str, act: Callable[[Any], str]) -> None:
    """
    Offer a service.

    :param kind: Trigger or SetBool
    :param act: takes the request and returns what it has done; raises SpowlError to refuse it
    """
    def answer(request: Any, response: Any) -> Any:
        try:
            response.message = act(request)
            response.success = True
        except SpowlError as error:
            response.message = str(error)
        return response

    node.create_service(kind, name, answer)
