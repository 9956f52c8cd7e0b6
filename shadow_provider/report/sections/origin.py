"""What the verdict rests on: policy, sources, configs, versions, approver; and what the shadow took."""

from shadow_provider.report.document import Part, Section, Sentence, Table, table
from shadow_provider.report.figures import flat
from shadow_provider.report.limits import Limits
from shadow_provider.report.text import NOTHING, count, figure, moment
from shadow_provider.verdict.record import DecisionRecord


def cost(record: DecisionRecord, limits: Limits) -> Section:
    """Instance-hours of the shadow."""
    spent = record.evidence.cost
    part: Part
    if spent is None:
        part = Sentence("It is not known what the shadow ran on.")
    else:
        rows = (
            ("instance type", spent.instance_type or "serverless or unknown"),
            ("instances", count(spent.instance_count)),
            ("hours", figure(spent.hours)),
            ("instance-hours", figure(spent.instance_hours)),
        )
        part = table("The shadow's instances", ("figure", "value"), rows, numeric=(1,))
    return Section(
        "cost",
        "Cost of the shadow",
        "From the making of the shadow config to the last look. Instance-hours are the number of instances at the last "
        "look times the hours: about what is billed, if their number did not change.",
        (part,),
    )


def policy(record: DecisionRecord, limits: Limits) -> Section:
    """Everything that was promised."""
    settings = record.policy.model_dump(mode="json")
    listed = [
        (f"{kind} {number}", ", ".join(f"{name} {value}" for name, value in flat(each)))
        for kind in ("gate", "segment")
        for number, each in enumerate(settings.pop(f"{kind}s"), start=1)
    ]
    return Section(
        "policy",
        "Policy",
        "What was asked of the candidate, settled before the evidence came.",
        (table("All settings", ("setting", "value"), [*listed, *flat(settings)]),),
    )


def origin(record: DecisionRecord, limits: Limits) -> Section:
    """Sources, configs, versions, digests."""
    sources = (
        (each.kind.replace("_", " "), each.location, count(each.objects), each.digest)
        for each in record.evidence.sources
    )
    headings = ("kind", "location", "objects", "SHA-256 over keys and ETags")
    parts: list[Part] = [
        _names(record),
        table("What was read", headings, sources, numeric=(2,), code=(1, 3)),
        table("Computed by", ("package", "version"), sorted(record.versions.items())),
    ]
    if record.notes:
        parts.append(table("Notes of the record", ("note",), ((note,) for note in record.notes)))
    return Section(
        "origin",
        "Where this comes from",
        "The record that this report shows is written once. Judged again by its own policy it must give the same bytes "
        "(sagemaker-shadow judge).",
        tuple(parts),
    )


def _names(record: DecisionRecord) -> Table:
    configs, evidence = record.configs, record.evidence
    rows = (
        ("deployment", record.deployment_id or NOTHING),
        ("endpoint", evidence.endpoint_name),
        ("production variant, model", f"{evidence.production_variant}, {record.incumbent_model}"),
        ("shadow variant, model", f"{evidence.shadow_variant}, {record.candidate_model}"),
        ("shadow since", moment(evidence.since)),
        ("config before", configs.baseline or NOTHING),
        ("config with the shadow", configs.shadow or NOTHING),
        ("config after a promotion", configs.promoted or NOTHING),
        ("approved by", record.approver or "nobody was asked"),
        ("last look", "the deadline had come" if record.final else "before the deadline"),
        ("record, SHA-256", record.digest),
        ("inputs, SHA-256", record.inputs_digest),
        ("schema version", record.schema_version),
    )
    return table("Deployment and record", ("what", "value"), rows, code=(1,))
