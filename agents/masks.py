"""Which actions an environment allows at present, as other libraries ask: a method, or an entry of the info.

``action_masks()`` is sb3-contrib's (MaskablePPO), ``info["action_mask"]`` is Gymnasium's (Taxi) and PettingZoo's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym


def masks_of(env: gym.Env[Any, Any], info: Mapping[str, Any]) -> Any:
    """The mask of the present actions, [A], by the environment's method or else by its last info.

    Raises:
        ValueError: if it has neither.
    """
    if env.has_wrapper_attr("action_masks"):
        return env.get_wrapper_attr("action_masks")()
    if "action_mask" in info:
        return info["action_mask"]
    raise ValueError(
        f"use_masking: {env} has no method action_masks(), and its info no 'action_mask'. Leave use_masking out, or "
        "wrap the environment in one that tells"
    )
