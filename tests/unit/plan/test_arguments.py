from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from shadow_provider.plan import tags
from shadow_provider.plan.arguments import Specification, given, none_of_jinja
from shadow_provider.plan.deployment import Deployment, ShadowPlan
from shadow_provider.plan.errors import PlanError, ShadowError
from shadow_provider.plan.model import ModelName, ModelPlan, refuse_unless_shadowable
from shadow_provider.plan.variants import Container, DataCapture, ProductionVariant, ShadowVariant

ROLE = "arn:aws:iam::123456789012:role/service-role/execution"
NAME_RULE = (
    "must be 1 to 63 letters, digits and hyphens, beginning and ending with a letter or digit "
    "(no underscore, dot or colon)"
)
URI_RULE = "must be an S3 URI such as s3://bucket/prefix"
ROLE_RULE = "must be the ARN of an IAM role such as arn:aws:iam::123456789012:role/sagemaker-execution"
WEIGHT_RULE = (
    "must be 1.0: with any other weight SageMaker does not document which share of requests is copied; "
    "give sampling_percentage instead"
)
ONE_SOURCE = "give either image (with model_data_url) or model_package_name, and not both"
SERVERLESS = "serverless variants cannot be shadowed or be shadows"
ASYNC = "asynchronous endpoints cannot have a shadow variant"
AS_NUMBER = "unable to parse string as a number"


def is_templated(value: Any) -> bool:
    """As the operators' own: a mapping that holds a template is a template too."""
    if isinstance(value, Mapping):
        return any(is_templated(item) for item in value.values())
    return isinstance(value, str) and "{{" in value


def refusal(spec: type[Specification], argument: str, value: Any) -> str:
    with pytest.raises(PlanError) as caught:
        spec.parse(argument, value)
    return str(caught.value)


BAD_PLANS: list[tuple[dict[str, Any], str]] = [
    ({"candidate_model_name": "a_b"}, f"candidate_model_name='a_b': {NAME_RULE}"),
    ({"candidate_model_name": "a.b"}, f"candidate_model_name='a.b': {NAME_RULE}"),
    ({"candidate_model_name": "-a"}, f"candidate_model_name='-a': {NAME_RULE}"),
    ({"candidate_model_name": "a-"}, f"candidate_model_name='a-': {NAME_RULE}"),
    ({"candidate_model_name": "a\n"}, f"candidate_model_name='a\\n': {NAME_RULE}"),
    ({"candidate_model_name": "é"}, f"candidate_model_name='é': {NAME_RULE}"),
    (
        {"candidate_model_name": "x" * 64},
        f"candidate_model_name={'x' * 64!r}: String should have at most 63 characters",
    ),
    ({"candidate_model_name": 3}, "candidate_model_name=3: Input should be a valid string"),
    ({"candidate_model_name": None}, "candidate_model_name: is required"),
    ({"candidate_model_name": "None"}, "candidate_model_name: is required"),
    ({"CandidateModelName": "a_b"}, f"candidate_model_name='a_b': {NAME_RULE}"),
    ({"production_model_name": "a_b"}, f"production_model_name='a_b': {NAME_RULE}"),
    ({"sampling_percentage": 0}, "sampling_percentage=0: Input should be greater than 0"),
    ({"sampling_percentage": "0"}, "sampling_percentage='0': Input should be greater than 0"),
    ({"sampling_percentage": -1}, "sampling_percentage=-1: Input should be greater than 0"),
    ({"sampling_percentage": 101}, "sampling_percentage=101: Input should be less than or equal to 100"),
    ({"sampling_percentage": float("nan")}, "sampling_percentage=nan: Input should be less than or equal to 100"),
    ({"sampling_percentage": "abc"}, f"sampling_percentage='abc': Input should be a valid number, {AS_NUMBER}"),
    ({"shadow_variant": {"variant_name": "a.b"}}, f"shadow_variant.variant_name='a.b': {NAME_RULE}"),
    ({"shadow_variant": {"VariantName": "a.b"}}, f"shadow_variant.variant_name='a.b': {NAME_RULE}"),
    (
        {"shadow_variant": {"instance_type": "m5.xlarge"}},
        "shadow_variant.instance_type='m5.xlarge': must be an instance type of SageMaker such as ml.m5.xlarge",
    ),
    (
        {"shadow_variant": {"initial_instance_count": 0}},
        "shadow_variant.initial_instance_count=0: Input should be greater than or equal to 1",
    ),
    (
        {"shadow_variant": {"initial_instance_count": 1.5}},
        "shadow_variant.initial_instance_count=1.5: Input should be a valid integer, got a number with a fractional "
        "part",
    ),
    (
        {"shadow_variant": {"initial_instance_count": "many"}},
        "shadow_variant.initial_instance_count='many': Input should be a valid integer, unable to parse string as an "
        "integer",
    ),
    ({"shadow_variant": {"weight": 1}}, "shadow_variant.weight=1: is not an argument here"),
    (
        {"shadow_variant": {"initial_variant_weight": 0.5}},
        "shadow_variant.initial_variant_weight=0.5: give sampling_percentage instead; it becomes the weight, beside "
        "production's 1.0",
    ),
    (
        {"shadow_variant": "Shadow"},
        "shadow_variant='Shadow': Input should be a valid dictionary or instance of ShadowVariant",
    ),
    (
        {"shadow_variant": {"serverless_config": {"MemorySizeInMB": 1024}}},
        f"shadow_variant={{'serverless_config': {{'MemorySizeInMB': 1024}}}}: {SERVERLESS}",
    ),
    (
        {"shadow_variant": {"ServerlessConfig": {}}},
        f"shadow_variant={{'ServerlessConfig': {{}}}}: {SERVERLESS}",
    ),
    (
        {"production_variant": {"instance_type": "ml.m5.xlarge", "AsyncInferenceConfig": {}}},
        f"production_variant={{'instance_type': 'ml.m5.xlarge', 'AsyncInferenceConfig': {{}}}}: {ASYNC}",
    ),
    ({"production_variant": {}}, "production_variant.instance_type: is required"),
    (
        {"production_variant": {"instance_type": "ml.m5.xlarge", "initial_variant_weight": 0.5}},
        f"production_variant.initial_variant_weight=0.5: {WEIGHT_RULE}",
    ),
    ({"data_capture": {}}, "data_capture.destination_s3_uri: is required"),
    ({"data_capture": {"destination_s3_uri": "/tmp"}}, f"data_capture.destination_s3_uri='/tmp': {URI_RULE}"),
    ({"data_capture": {"destination_s3_uri": "s3://"}}, f"data_capture.destination_s3_uri='s3://': {URI_RULE}"),
    (
        {"data_capture": {"destination_s3_uri": "https://bucket/x"}},
        f"data_capture.destination_s3_uri='https://bucket/x': {URI_RULE}",
    ),
    (
        {"data_capture": {"destination_s3_uri": "s3://b/" + "x" * 506}},
        f"data_capture.destination_s3_uri={'s3://b/' + 'x' * 506!r}: must have at most 512 characters",
    ),
    (
        {"data_capture": {"destination_s3_uri": "s3://b", "sampling_percentage": 0}},
        "data_capture.sampling_percentage=0: Input should be greater than or equal to 1",
    ),
    (
        {"data_capture": {"destination_s3_uri": "s3://b", "SamplingPercentage": 101}},
        "data_capture.sampling_percentage=101: Input should be less than or equal to 100",
    ),
    ({"nonsense": 1}, "nonsense=1: is not an argument here"),
]


@pytest.mark.parametrize(("broken", "message"), BAD_PLANS)
def test_a_bad_plan_is_refused_by_argument_value_and_rule(broken: dict[str, Any], message: str) -> None:
    value = {"candidate_model_name": "m", **broken}
    if "CandidateModelName" in broken:
        del value["candidate_model_name"]
    assert refusal(ShadowPlan, "", value) == message


@pytest.mark.parametrize(("broken", "message"), BAD_PLANS)
def test_a_template_beside_it_hides_no_error_at_parse(broken: dict[str, Any], message: str) -> None:
    template = "data_capture" if "production_model_name" in broken else "production_model_name"
    value = {"candidate_model_name": "m", template: "{{ ti.xcom_pull('x') }}", **broken}
    if "CandidateModelName" in broken:
        del value["candidate_model_name"]
    with pytest.raises(PlanError) as caught:
        ShadowPlan.parse_partly("", value, is_templated)
    assert str(caught.value) == message


CONTAINER = {"image": "repo:tag", "model_data_url": "s3://bucket/model.tar.gz"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"container": CONTAINER, "execution_role_arn": "role"}, f"execution_role_arn='role': {ROLE_RULE}"),
        (
            {"container": CONTAINER, "execution_role_arn": "arn:aws:iam::123456789012:user/me"},
            f"execution_role_arn='arn:aws:iam::123456789012:user/me': {ROLE_RULE}",
        ),
        (
            {"container": CONTAINER, "execution_role_arn": "arn:aws:iam::12345:role/r"},
            f"execution_role_arn='arn:aws:iam::12345:role/r': {ROLE_RULE}",
        ),
        ({"container": CONTAINER}, "execution_role_arn: is required"),
        ({"container": CONTAINER, "execution_role_arn": ""}, "execution_role_arn: is required"),
        ({"execution_role_arn": ROLE}, "container: is required"),
        ({"container": {}, "execution_role_arn": ROLE}, f"container={{}}: {ONE_SOURCE}"),
        (
            {"container": {"image": "i", "ModelPackageName": "p"}, "execution_role_arn": ROLE},
            f"container={{'image': 'i', 'ModelPackageName': 'p'}}: {ONE_SOURCE}",
        ),
        (
            {"container": {**CONTAINER, "mode": "MultiModel"}, "execution_role_arn": ROLE},
            "container.mode='MultiModel': must be SingleModel: multi-model containers cannot be shadowed or be shadows",
        ),
        (
            {"container": {"image": "i", "model_data_url": "bucket/model.tar.gz"}, "execution_role_arn": ROLE},
            f"container.model_data_url='bucket/model.tar.gz': {URI_RULE}",
        ),
        (
            {"container": {"image": "i" * 256}, "execution_role_arn": ROLE},
            f"container.image={'i' * 256!r}: String should have at most 255 characters",
        ),
        (
            {"container": {"image": "i", "environment": {"WORKERS": 2}}, "execution_role_arn": ROLE},
            "container.environment.WORKERS=***: Input should be a valid string",
        ),
        (
            {"container": {"image": "i", "enviroment": {}}, "execution_role_arn": ROLE},
            "container.enviroment={}: is not an argument here",
        ),
        (
            {"container": "image", "execution_role_arn": ROLE},
            "container='image': Input should be a valid dictionary or instance of Container",
        ),
    ],
)
def test_a_bad_model_is_refused(value: dict[str, Any], message: str) -> None:
    assert refusal(ModelPlan, "", value) == message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"endpoint_name": "a_b", "deployment_id": "d"}, f"endpoint_name='a_b': {NAME_RULE}"),
        ({"endpoint_name": None, "deployment_id": "d"}, "endpoint_name: is required"),
        ({"endpoint_name": "a", "deployment_id": ""}, "deployment_id: is required"),
        ({"endpoint_name": "a", "deployment_id": 7}, "deployment_id=7: Input should be a valid string"),
    ],
)
def test_a_bad_deployment_is_refused(value: dict[str, Any], message: str) -> None:
    assert refusal(Deployment, "", value) == message


def test_every_broken_rule_has_its_line() -> None:
    text = refusal(ShadowPlan, "plan", {"candidate_model_name": "a_b", "sampling_percentage": 0, "x": 1})
    assert text.splitlines() == [
        f"plan.candidate_model_name='a_b': {NAME_RULE}",
        "plan.sampling_percentage=0: Input should be greater than 0",
        "plan.x=1: is not an argument here",
    ]


def test_a_plan_error_is_final_and_a_value_error() -> None:
    assert issubclass(PlanError, ShadowError)
    assert issubclass(PlanError, ValueError)


def test_what_is_no_mapping_is_refused_with_the_fields_there_are() -> None:
    assert refusal(Deployment, "deployment", "fraud") == (
        "deployment='fraud': must be a mapping with the fields endpoint_name, deployment_id, dag, run"
    )


@pytest.mark.parametrize(
    ("rendered", "meant"),
    [
        ({"sampling_percentage": "0.5"}, {"sampling_percentage": 0.5}),
        ({"sampling_percentage": "None"}, {"sampling_percentage": 100.0}),
        ({"shadow_variant": {"initial_instance_count": "3"}},
         {"shadow_variant": ShadowVariant(initial_instance_count=3)}),
        ({"shadow_variant": {"initial_instance_count": "None", "instance_type": ""}},
         {"shadow_variant": ShadowVariant()}),
        # A field with a default of its own, given as None.
        ({"shadow_variant": {"variant_name": None}}, {"shadow_variant": ShadowVariant(variant_name="Shadow")}),
        ({"data_capture": "None", "production_variant": ""}, {"data_capture": None, "production_variant": None}),
        ({"data_capture": {"DestinationS3Uri": "s3://b/p", "sampling_percentage": "50", "KmsKeyId": "None"}},
         {"data_capture": DataCapture(destination_s3_uri="s3://b/p", sampling_percentage=50)}),
        ({"production_variant": {"InstanceType": "ml.m5.large", "InitialInstanceCount": "2"}},
         {"production_variant": ProductionVariant(instance_type="ml.m5.large", initial_instance_count=2)}),
    ],
)  # fmt: skip
def test_rendered_values_are_taken_for_what_they_mean(rendered: dict[str, Any], meant: dict[str, Any]) -> None:
    plan = ShadowPlan.parse("", {"candidate_model_name": "m", **rendered})
    assert {name: getattr(plan, name) for name in meant} == meant


def test_words_in_an_environment_stay_words() -> None:
    environment = {"OPTIONAL": "None", "EMPTY": "", "NUMBER": "3"}
    assert Container.parse("container", {"image": "i", "environment": environment}).environment == environment


@pytest.mark.parametrize(
    "value",
    [
        {"candidate_model_name": "{{ x }}"},
        {"candidate_model_name": "m", "sampling_percentage": "{{ x }}", "shadow_variant": "{{ y }}"},
        {"candidate_model_name": "m", "shadow_variant": {"variant_name": "{{ x }}", "instance_type": "ml.m5.large"}},
        {"candidate_model_name": "m", "production_variant": {"instance_type": "{{ x }}"}},
        {"candidate_model_name": "m", "data_capture": {"DestinationS3Uri": "{{ x }}", "SamplingPercentage": 50}},
        {"candidate_model_name": "m", "sampling_percentage": None, "production_model_name": "{{ x }}"},
        "{{ everything }}",
    ],
)
def test_templates_wait_for_rendering(value: Any) -> None:
    ShadowPlan.parse_partly("", value, is_templated)


@pytest.mark.parametrize(
    ("container", "message"),
    [
        # Which of the two sources it will be is known only when rendered.
        ({"image": "{{ x }}"}, None),
        ({"image": "{{ x }}", "model_package_name": "{{ y }}"}, None),
        ({"image": "i", "environment": {"A": "{{ x }}"}}, None),
        ({"image": "{{ x }}", "mode": "MultiModel"}, "container.mode='MultiModel': must be SingleModel"),
        ({"image": "{{ x }}", "model_data_url": "/tmp"}, "container.model_data_url='/tmp': must be an S3 URI"),
        ({"image": "{{ x }}", "environment": {"A": 1}}, "container.environment.A=***: Input should be a valid string"),
        ({"image": "{{ x }}", "nonsense": 1}, "container.nonsense=1: is not an argument here"),
    ],
)
def test_the_rest_of_a_mapping_with_a_template_is_checked_at_parse(
    container: dict[str, Any], message: str | None
) -> None:
    value = {"container": container, "execution_role_arn": "{{ role }}"}
    if message is None:
        ModelPlan.parse_partly("", value, is_templated)
        return
    with pytest.raises(PlanError) as caught:
        ModelPlan.parse_partly("", value, is_templated)
    assert str(caught.value).startswith(message)


def test_a_required_argument_that_is_missing_is_missed_at_parse() -> None:
    with pytest.raises(PlanError, match=r"^execution_role_arn: is required$"):
        ModelPlan.parse_partly("", {"container": "{{ x }}", "execution_role_arn": None}, is_templated)
    with pytest.raises(PlanError, match=r"^data_capture\.destination_s3_uri: is required$"):
        ShadowPlan.parse_partly(
            "", {"candidate_model_name": "{{ x }}", "data_capture": {"sampling_percentage": 3}}, is_templated
        )


def test_a_specification_is_taken_as_it_is_and_cannot_be_changed() -> None:
    variant = ShadowVariant(variant_name="s")
    assert ShadowVariant.parse("shadow_variant", variant) is variant
    with pytest.raises(ValidationError, match="frozen"):
        setattr(variant, "variant_name", "other")  # noqa: B010 - the type checker knows it as well


@pytest.mark.parametrize(
    ("value", "back"), [("None", None), (" None ", None), ("", None), (None, None), ("none", "none"), (0, 0), ([], [])]
)
def test_what_jinja_makes_of_nothing_is_nothing(value: Any, back: Any) -> None:
    assert none_of_jinja(value) == back


@pytest.mark.parametrize(
    ("value", "back"),
    [
        ({"image": "None", "model_data_url": None}, None),
        ({"image": "i", "model_data_url": None}, {"image": "i", "model_data_url": None}),
        ({}, {}),
        ("None", None),
        (0, 0),
    ],
)
def test_a_mapping_of_nothing_but_absent_values_is_absent(value: Any, back: Any) -> None:
    assert given(value) == back


@pytest.mark.parametrize("name", ["None", "", None])
def test_a_model_name_may_be_absent(name: str | None) -> None:
    assert ModelName.parse("", {"model_name": name}).model_name is None


def test_a_container_goes_to_aws_in_awss_words() -> None:
    plan = ModelPlan.parse(
        "", {"container": {**CONTAINER, "environment": {"A": "1"}, "mode": "None"}, "execution_role_arn": ROLE}
    )
    assert plan.request("m", {"k": "v"}) == {
        "ModelName": "m",
        "Containers": [{"Image": "repo:tag", "ModelDataUrl": "s3://bucket/model.tar.gz", "Environment": {"A": "1"}}],
        "ExecutionRoleArn": ROLE,
        "Tags": [{"Key": "k", "Value": "v"}],
    }


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"PrimaryContainer": {"Image": "i"}}, None),
        ({"Containers": [{"Image": "i", "Mode": "SingleModel"}]}, None),
        ({}, None),
        ({"Containers": [{"Image": "i"}, {"Image": "j"}]},
         "model_name='m': it has 2 containers; those cannot be shadowed or be shadows"),
        ({"PrimaryContainer": {"Image": "i", "Mode": "MultiModel"}},
         "model_name='m': it is a multi-model container; those cannot be shadowed or be shadows"),
        ({"Containers": [{"Image": "i", "Mode": "MultiModel"}]},
         "model_name='m': it is a multi-model container; those cannot be shadowed or be shadows"),
    ],
)  # fmt: skip
def test_an_existing_model_must_be_of_a_kind_that_can_be_shadowed(
    description: dict[str, Any], message: str | None
) -> None:
    if message is None:
        refuse_unless_shadowable({"ModelName": "m", **description})
        return
    with pytest.raises(PlanError) as caught:
        refuse_unless_shadowable({"ModelName": "m", **description})
    assert str(caught.value) == message


def test_a_deployment_owns_what_carries_its_tags() -> None:
    mine, other = Deployment(endpoint_name="e", deployment_id="1"), Deployment(endpoint_name="e", deployment_id="2")
    made = mine.tags("shadow", {}, baseline_config="b")
    assert mine.owns(made)
    assert not other.owns(made)
    assert mine.names != other.names


def test_dag_and_run_do_not_tell_deployments_apart() -> None:
    first = Deployment(endpoint_name="e", deployment_id="1", dag="d", run="r")
    again = Deployment(endpoint_name="e", deployment_id="1", dag="renamed", run="again")
    made = first.tags("shadow", {})
    assert (made[tags.DAG], made[tags.RUN]) == ("d", "r")
    assert again.owns(made)
    assert again.names == first.names
