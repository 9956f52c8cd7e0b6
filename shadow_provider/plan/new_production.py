"""What an endpoint that serves the promoted config must look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shadow_provider.plan.endpoint_state import EndpointState


def images_of(model: Mapping[str, Any]) -> tuple[str, ...]:
    """The images that a model's containers name; empty for a model package, which names its own."""
    containers = [model["PrimaryContainer"]] if model.get("PrimaryContainer") else model.get("Containers") or ()
    return tuple(container["Image"] for container in containers if container.get("Image"))


def differences(state: EndpointState, promoted: Mapping[str, Any], images: Sequence[str]) -> list[str]:
    """Say where the endpoint is not as the promoted config and the candidate's model want it.

    What AWS does not say of a variant is not held against it.

    Args:
        state: the endpoint, on the promoted config.
        promoted: DescribeEndpointConfig of it.
        images: those of the candidate's model; empty if it names none.
    """
    (wanted,) = promoted["ProductionVariants"]
    found = []
    if state.shadows:
        found.append(f"it still has the shadow {', '.join(shadow.name for shadow in state.shadows)}")
    names = [variant.name for variant in state.production]
    if names != [wanted["VariantName"]]:
        return [*found, f"its production variants are {names}, not {[wanted['VariantName']]}"]
    (serving,) = state.production
    weight = wanted.get("InitialVariantWeight", 1.0)
    if serving.weight is not None and serving.weight != weight:
        found.append(f"the weight of {serving.name} is {serving.weight:g}, not {weight:g}")
    if serving.current_instances == 0:
        found.append(f"{serving.name} has no instance")
    if images and serving.images and sorted(set(serving.images)) != sorted(set(images)):
        found.append(f"{serving.name} runs {', '.join(serving.images)}, where the model has {', '.join(images)}")
    return found
