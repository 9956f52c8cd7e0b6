"""States, updates, refusals, guardrails, weights, deletion, autoscaling, quotas."""

from __future__ import annotations

from tests.aws.conformance.table import Fact, World, refused
from tests.aws.conftest import Cloud

_OPEN = "tests/aws/test_open_questions.py::"
_LIFE, _GUARD = "tests/aws/test_lifecycle.py::", "tests/aws/test_guardrails.py::"
_SCALING, _QUOTAS = "tests/aws/test_autoscaling.py::", "tests/aws/test_quotas.py::"
_FAULTS, _MACHINE = "tests/aws/faults/test_faults_of_endpoints.py::", "tests/aws/test_endpoint_machine.py::"


def _members(world: World) -> None:
    for member in ("ProductionVariants", "ShadowProductionVariants"):
        summary = world.described[member][0]
        assert {"VariantName", "DeployedImages", "CurrentWeight", "DesiredWeight", "CurrentInstanceCount"} <= set(
            summary
        )
        assert not {"ModelName", "InstanceType"} & set(summary)
    assert "PendingDeploymentSummary" not in world.described


def _creating(world: World) -> None:
    name = world.cloud.endpoint(world.config, wait=False)
    described = world.cloud.describe(name)
    assert described["EndpointStatus"] in ("Creating", "InService")
    if described["EndpointStatus"] == "Creating":
        refused("delete_endpoint", "Cannot update in-progress endpoint", EndpointName=name)(world)
    world.cloud.settled(name)


FACTS = [
    Fact(
        "3.1/transitions",
        "D",
        "Which status follows which, and that a rolled-back update ends InService",
        proofs=(f"{_MACHINE}test_an_endpoints_life_in_any_order",),
    ),
    Fact(
        "3.1/delete-while-creating",
        "O",
        "An endpoint that is being created can be neither updated nor deleted",
        _creating,
    ),
    Fact(
        "3.1/system-updating",
        "D",
        "SystemUpdating refuses changes and keeps serving",
        proofs=(f"{_GUARD}test_a_system_update_refuses_changes_and_keeps_serving",),
    ),
    Fact(
        "3.1/rolling-back",
        "?",
        "Whether RollingBack is shown while an update rolls back",
        proofs=(
            f"{_GUARD}test_what_an_update_shows_while_it_rolls_back",
            f"{_OPEN}test_an_update_rolls_back_in_the_state_updating",
        ),
        setting="rollback_status",
    ),
    Fact(
        "3.2/names-differ-by-more-than-case",
        "D",
        "Endpoint names are unique regardless of case",
        lambda world: refused(
            "create_endpoint",
            "Cannot create already existing endpoint",
            EndpointName=world.endpoint.capitalize(),
            EndpointConfigName="CONFIG",
        )(world),
    ),
    Fact(
        "3.2/failed",
        "D",
        "A creation that fails ends in Failed with its FailureReason",
        proofs=(f"{_LIFE}test_a_broken_model_fails_the_endpoint_with_awss_reason",),
    ),
    Fact(
        "3.3/blue-green",
        "D",
        "No request fails over an update",
        proofs=(f"{_LIFE}test_an_update_swaps_without_a_failed_request",),
    ),
    Fact(
        "3.3/failed-update",
        "O",
        "A failed update ends InService under the old EndpointConfigName, with a FailureReason",
        proofs=(f"{_LIFE}test_a_failed_update_leaves_the_old_config_in_service",),
    ),
    Fact(
        "3.3/no-reason",
        "O",
        "FailureReason may be empty after a rollback",
        proofs=(f"{_FAULTS}test_an_update_rolls_back",),
    ),
    Fact(
        "3.3/retain",
        "D",
        "RetainAllVariantProperties keeps weights and counts of variants of the same name",
        proofs=(f"{_LIFE}test_variant_properties_are_retained_when_asked",),
    ),
    Fact(
        "3.3/old-config-deleted",
        "O",
        "Without its old configuration an endpoint cannot be updated",
        proofs=(f"{_LIFE}test_an_update_needs_the_active_config",),
    ),
    Fact(
        "3.3/same-config",
        "?",
        "UpdateEndpoint to the configuration that is active",
        proofs=(f"{_OPEN}test_the_active_configuration_is_refused",),
        setting="same_config_update",
    ),
    Fact(
        "3.4/members",
        "D",
        "Summaries have weights, counts and images, and neither ModelName nor InstanceType",
        _members,
    ),
    Fact(
        "3.5/in-progress",
        "O",
        'Cannot update in-progress endpoint "<arn>"., for updates and deletions alike',
        proofs=(f"{_GUARD}test_every_change_in_progress_is_known",),
    ),
    Fact(
        "3.5/deleting-name",
        "I",
        "A name is taken while its endpoint is deleted",
        proofs=(f"{_GUARD}test_a_name_is_taken_while_its_endpoint_is_deleted",),
    ),
    Fact(
        "3.5/failed-delete-only",
        "D",
        "A failed endpoint can only be deleted",
        proofs=(f"{_MACHINE}test_an_endpoints_life_in_any_order",),
    ),
    Fact(
        "3.6/all-at-once",
        "D",
        "All at once, with baking if asked for",
        proofs=(f"{_GUARD}test_all_at_once_bakes_before_the_old_fleet_goes",),
    ),
    Fact(
        "3.6/canary",
        "D",
        "A canary gets its share, then all",
        proofs=(f"{_GUARD}test_a_canary_gets_its_share_and_then_all",),
    ),
    Fact("3.6/linear", "D", "Linear steps", proofs=(f"{_GUARD}test_linear_steps",)),
    Fact("3.6/rolling", "D", "Rolling, batch by batch", proofs=(f"{_GUARD}test_rolling_replaces_batch_by_batch",)),
    Fact("3.6/alarms", "D", "An alarm rolls back", proofs=(f"{_GUARD}test_an_alarm_rolls_back",)),
    Fact(
        "3.6/alarm-at-start",
        "?",
        "An alarm that is in ALARM already",
        proofs=(
            f"{_GUARD}test_an_alarm_that_is_in_alarm_already_rolls_back",
            f"{_OPEN}test_an_alarm_that_was_in_alarm_counts_once_it_was_not",
        ),
        setting="alarm_at_start",
    ),
    Fact(
        "3.6/time-limit",
        "D",
        "MaximumExecutionTimeoutInSeconds rolls back",
        proofs=(f"{_GUARD}test_the_time_limit_rolls_back",),
    ),
    Fact(
        "3.6/same-names",
        "D",
        "Other variant names make it all at once",
        proofs=(f"{_GUARD}test_other_variant_names_update_all_at_once",),
    ),
    Fact(
        "3.6/shadow",
        "?",
        "Guardrails while there is a shadow",
        proofs=(
            f"{_GUARD}test_a_shadow_makes_it_all_at_once",
            f"{_OPEN}test_guardrails_beside_a_shadow",
            f"{_OPEN}test_guardrails_are_refused_beside_a_shadow_and_configurations_are_seen_late",
        ),
        setting="guardrails_with_shadow",
    ),
    Fact(
        "3.6/rollback-reason",
        "?",
        "FailureReason after an alarm's rollback",
        proofs=(
            f"{_GUARD}test_an_alarm_rolls_back",
            f"{_OPEN}test_an_alarm_leaves_no_reason",
        ),
        setting="rollback_failure_reason",
    ),
    Fact(
        "3.6/retained",
        "D",
        "RetainDeploymentConfig uses the last one again",
        proofs=(f"{_GUARD}test_the_last_deployment_config_can_be_used_again",),
    ),
    Fact(
        "3.6/failed-rollback",
        "D",
        "A rolling rollback that fails ends in UpdateRollbackFailed",
        proofs=(f"{_GUARD}test_a_rolling_rollback_that_fails_leaves_a_mixed_fleet",),
    ),
    Fact(
        "3.6/refused",
        "D",
        "Policies that break a rule are refused",
        proofs=(f"{_GUARD}test_policies_that_are_refused",),
    ),
    Fact("3.6/eventbridge", "D", "Events of state changes", missing="there is no EventBridge"),
    Fact(
        "3.7/weights",
        "D",
        "UpdateEndpointWeightsAndCapacities sets Updating, then InService",
        proofs=(f"{_MACHINE}test_an_endpoints_life_in_any_order",),
    ),
    Fact(
        "3.7/scaling-out-fails",
        "D",
        "A change of capacity that fails rolls back, the endpoint keeps serving",
        proofs=(
            "tests/aws/test_capacities.py::test_a_scale_out_that_fails_changes_nothing",
            "tests/aws/test_capacities.py::test_a_scale_out_that_fails_is_seen_rolling_back",
        ),
    ),
    Fact(
        "3.7/unknown-variant",
        "I",
        "It refuses a variant that there is not",
        refused(
            "update_endpoint_weights_and_capacities",
            "",
            EndpointName="ENDPOINT",
            DesiredWeightsAndCapacities=[{"VariantName": "none", "DesiredWeight": 1}],
        ),
    ),
    Fact(
        "3.7/shadow",
        "?",
        "It changes a shadow, or refuses to",
        proofs=(
            "tests/aws/test_capacities.py::test_the_weight_of_a_shadow_is_its_share",
            f"{_OPEN}test_a_shadow_keeps_its_weight",
        ),
        setting="shadow_weight_update",
    ),
    Fact(
        "3.7/delete-unknown",
        "O",
        "Deletions of what there is not: Could not find …",
        refused("delete_endpoint", "Could not find endpoint ", EndpointName="none"),
    ),
    Fact(
        "3.8/waiters",
        "D",
        "boto3's waiters end at InService, Failed and at ValidationException",
        lambda world: world.cloud.sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=world.endpoint),
    ),
    Fact(
        "9/registered",
        "D",
        "Registered variants keep name and type until they are deregistered",
        proofs=(
            f"{_SCALING}test_a_registered_variant_stays_as_it_is",
            f"{_SCALING}test_a_registered_shadow_has_to_be_deregistered_before_it_goes",
        ),
    ),
    Fact(
        "9/deletion",
        "D",
        "DeleteEndpoint deregisters the targets, or is refused",
        proofs=(
            f"{_SCALING}test_a_deletion_takes_its_own_targets_with_it",
            f"{_SCALING}test_a_deletion_can_be_refused_while_there_are_targets",
        ),
        setting="autoscaling_on_delete",
    ),
    Fact(
        "9/scaling",
        "D",
        "Target tracking changes the instance count",
        missing="targets and policies are kept; nothing scales by itself",
    ),
    Fact(
        "10.1/permissions",
        "D",
        "Which actions a caller needs",
        missing="no signature is checked and no permission enforced",
    ),
    Fact(
        "10.3/quotas",
        "D",
        "Instances per type, per endpoint, over all endpoints",
        proofs=(f"{_QUOTAS}test_a_shadow_counts_and_so_do_other_endpoints",),
        setting="quotas",
    ),
    Fact(
        "10.3/both-fleets",
        "I",
        "An update needs room for both fleets",
        proofs=(f"{_QUOTAS}test_an_update_needs_room_for_both_fleets",),
    ),
    Fact(
        "10.4/ping",
        "O",
        "FailureReason: … did not pass the ping health check. …",
        proofs=(f"{_LIFE}test_a_broken_model_fails_the_endpoint_with_awss_reason",),
    ),
    Fact(
        "10.4/capacity",
        "O",
        "FailureReason: … InsufficientInstanceCapacity error. …",
        proofs=(f"{_FAULTS}test_no_capacity",),
    ),
    Fact(
        "10.4/model-data",
        "O",
        "FailureReason: Failed to download model data …",
        proofs=(f"{_LIFE}test_model_data_that_cannot_be_used",),
    ),
    Fact(
        "12/serial-pipelines",
        "?",
        "Whether a serial pipeline counts as multi-container, which excludes a shadow; here it does",
        proofs=("tests/aws/test_control_plane.py::test_a_shadow_of_several_containers_is_refused",),
    ),
    Fact(
        "12/throttle-rates",
        "?",
        "The control plane's rates",
        missing="nothing is throttled by itself; a fault throttles at any rate",
    ),
    Fact(
        "12/exclusion-words",
        "?",
        "The words of a shadow's exclusions",
        missing="the exclusions are AWS's, their words are ours",
    ),
    Fact(
        "12/inference-components",
        "?",
        "Inference components with a shadow",
        refused(
            "create_endpoint_config",
            "ModelName must be specified",
            EndpointConfigName="conformance",
            ProductionVariants=[Cloud.variant("v", "MODEL")],
            ShadowProductionVariants=[{"VariantName": "s", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}],
        ),
    ),
    Fact("8/experiments", "D", "Inference experiments", missing="not implemented: UnknownOperationException"),
]
