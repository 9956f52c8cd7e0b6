"""The command that takes a look at any endpoint with captures, with Airflow or without."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shadow_provider.cli.clients import Aws, Profile
from shadow_provider.cli.common import AsJson, EndpointUrl, Region, clear_errors, fail
from shadow_provider.cli.policies import PolicyOption, policy_of
from shadow_provider.cli.records import REPORTS, write_report

if TYPE_CHECKING:
    from shadow_provider.evidence.collect import Kept
    from shadow_provider.plan.endpoint_config import ShadowRun
    from shadow_provider.policy.policy import Policy
    from shadow_provider.verdict.record import DecisionRecord

_NOT_DONE = 2
_CODES = {"PROMOTE": 0, "CONTINUE": 0, "REJECT": 1, "INCONCLUSIVE": 4, "INVALID": 5}
_CAPTURE_LAG = timedelta(minutes=5)
"""Captures come minutes late, each instance its own: the newest minutes hold only some of the pairs."""

_WHICH = "What is compared"
_HOW = "How it is judged"
_OUTPUT = "What is written"


def evaluate(
    endpoint: Annotated[str, typer.Argument(help="The endpoint; it may be gone if all of it is given by options.")],
    production_variant: Annotated[
        str | None, typer.Option(help="Its production variant.", show_default="the only one", rich_help_panel=_WHICH)
    ] = None,
    shadow_variant: Annotated[
        str | None, typer.Option(help="Its shadow variant.", show_default="the only one", rich_help_panel=_WHICH)
    ] = None,
    capture_s3_uri: Annotated[
        str | None,
        typer.Option(
            help="Destination of the data capture.", show_default="of the endpoint config", rich_help_panel=_WHICH
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="ISO time from which on; UTC if it names no zone.",
            show_default="the endpoint config's making",
            rich_help_panel=_WHICH,
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(help="ISO time until which.", show_default="five minutes ago", rich_help_panel=_WHICH),
    ] = None,
    sampling_percentage: Annotated[
        float | None,
        typer.Option(
            help="Share of the requests that the shadow should get.",
            min=0.01,
            max=100,
            show_default="by the variants' weights",
            rich_help_panel=_WHICH,
        ),
    ] = None,
    ground_truth_s3_uri: Annotated[
        str | None, typer.Option(help="Prefix of the true labels.", show_default=False, rich_help_panel=_WHICH)
    ] = None,
    policy: PolicyOption = None,
    final: Annotated[
        bool,
        typer.Option("--final", help="No look follows: what is not decided is INCONCLUSIVE.", rich_help_panel=_HOW),
    ] = False,
    noise_floor: Annotated[
        bool,
        typer.Option(
            "--noise-floor",
            help="The candidate is the incumbent itself: suggest tolerances instead of judging.",
            rich_help_panel=_HOW,
        ),
    ] = False,
    state: Annotated[
        str | None,
        typer.Option(
            help="Keep what a look has read for the next one: a folder, or s3://bucket/prefix.",
            show_default=False,
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Write the decision record.", show_default=False, rich_help_panel=_OUTPUT)
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write the report: FILE.html or FILE.md.", show_default=False, rich_help_panel=_OUTPUT),
    ] = None,
    as_json: AsJson = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Take a look: pair the captures of an endpoint's two variants and judge the candidate by a policy.

    Works on any endpoint with a shadow and data capture; nothing of it is changed. Exit codes: 0 PROMOTE or CONTINUE;
    1 REJECT; 2 no look could be taken; 4 INCONCLUSIVE; 5 INVALID.
    """
    with clear_errors(_NOT_DONE):
        if report is not None and report.suffix not in REPORTS:
            fail(f"--report: {report} is neither .html nor .md", _NOT_DONE)
        chosen = policy_of(policy)
        aws = Aws(endpoint_url, region, profile)
        given = _Given(production_variant, shadow_variant, capture_s3_uri, _moment("--since", since))
        run = run_of(aws, endpoint, given, sampling_percentage)
        end = _window_end(until, run.since)
        typer.echo(
            f"{endpoint}: {run.production_variant} and {run.shadow_variant} from {run.since:%Y-%m-%d %H:%M} to "
            f"{end:%Y-%m-%d %H:%M} UTC, captures in {run.capture_s3_uri}",
            err=True,
        )
        if noise_floor:
            _suggest(aws, endpoint, run, chosen, end)
            return
        made = _look(aws, endpoint, run, chosen, end, ground_truth_s3_uri, _kept(aws, state), final=final)
        if record is not None:
            record.write_bytes(made.canonical_bytes())
        if report is not None:
            write_report(made, report)
    _show(made, as_json=as_json)
    raise typer.Exit(_CODES[made.judgement.verdict.value])


@dataclass(frozen=True)
class _Given:
    """What the options say of the endpoint; None where it is to be read off it."""

    production_variant: str | None
    shadow_variant: str | None
    capture_s3_uri: str | None
    since: datetime | None

    @property
    def complete(self) -> bool:
        """Whether the endpoint need not be there."""
        return None not in (self.production_variant, self.shadow_variant, self.capture_s3_uri, self.since)


def run_of(aws: Aws, endpoint: str, given: _Given, sampling_percentage: float | None) -> ShadowRun:
    """What is compared: by the options, else as the endpoint says of itself.

    Raises:
        UnclearEndpointError: it does not say; the message names the option to give.
    """
    from botocore.exceptions import ClientError

    from shadow_provider.cli.endpoints import LiveEndpoint, UnclearEndpointError
    from shadow_provider.plan.endpoint_config import ShadowRun

    try:
        live = LiveEndpoint.described(aws.client("sagemaker"), endpoint)
    except ClientError as error:
        # SageMaker says of what is not there that it is no valid name.
        if error.response["Error"]["Code"] != "ValidationException" or not given.complete:
            raise
        live = LiveEndpoint(endpoint)
    production, shadow = live.production(given.production_variant), live.shadow(given.shadow_variant)
    capture_s3_uri, since = given.capture_s3_uri or live.capture.get("DestinationS3Uri"), given.since or live.since
    if capture_s3_uri is None:
        raise UnclearEndpointError(f"endpoint {endpoint} captures nothing; where its captures lie is --capture-s3-uri")
    assert since is not None, "a described config has its time, and without one it was given"
    share = shadow.get("InitialVariantWeight", 1.0) / production.get("InitialVariantWeight", 1.0)
    return ShadowRun(
        config_name=live.config.get("EndpointConfigName", ""),
        since=since,
        production_variant=production["VariantName"],
        shadow_variant=shadow["VariantName"],
        incumbent_model=production.get("ModelName", "unknown"),
        candidate_model=shadow.get("ModelName", "unknown"),
        sampling_percentage=sampling_percentage or round(min(1.0, share) * 100, 6),
        capture_s3_uri=capture_s3_uri,
        capture_percentage=live.capture.get("InitialSamplingPercentage", 100),
        shadow_instance_type=shadow.get("InstanceType"),
        shadow_instance_count=shadow.get("InitialInstanceCount", 0),
    )


def _look(
    aws: Aws,
    endpoint: str,
    run: ShadowRun,
    policy: Policy,
    until: datetime,
    ground_truth_s3_uri: str | None,
    kept: Kept | None,
    *,
    final: bool,
) -> DecisionRecord:
    from shadow_provider.evidence.collect import collect
    from shadow_provider.verdict.record import ConfigNames, decide

    evidence = collect(
        s3=aws.client("s3"),
        cloudwatch=aws.client("cloudwatch"),
        endpoint_name=endpoint,
        run=run,
        policy=policy,
        until=until,
        final=final,
        ground_truth_s3_uri=ground_truth_s3_uri,
        kept=kept,
    )
    if not evidence.blocks.count:
        seconds = evidence.blocks.seconds
        raise ValueError(
            f"nothing to look at yet: not one whole block of {seconds} s lies in the window; wait, or take a policy "
            "with shorter blocks"
        )
    if not evidence.captures.production.lines and not evidence.captures.shadow.lines:
        raise ValueError(
            f"no captures of {run.production_variant} or {run.shadow_variant} under {run.capture_s3_uri}/{endpoint} in "
            "this window: is capture on, is there traffic, is the destination right?"
        )
    return decide(
        deployment_id=None,
        incumbent_model=run.incumbent_model,
        candidate_model=run.candidate_model,
        configs=ConfigNames(shadow=run.config_name or None),
        policy=policy,
        evidence=evidence,
        final=final,
    )


def _kept(aws: Aws, place: str | None) -> Kept | None:
    if place is None:
        return None
    from shadow_provider.evidence.collect import Kept
    from shadow_provider.evidence.engine.store import FolderStore, S3Store
    from shadow_provider.evidence.objects import split_uri

    if not place.startswith("s3://"):
        return Kept(FolderStore(Path(place)), "looks")
    bucket, prefix = split_uri(place)
    return Kept(S3Store(aws.client("s3"), bucket), prefix or "looks")


def _suggest(aws: Aws, endpoint: str, run: ShadowRun, policy: Policy, until: datetime) -> None:
    """Tolerances that let the noise of two equal models pass, as a comparator in YAML."""
    import yaml

    from shadow_provider.evidence.noise_floor import noise_floor

    found = noise_floor(aws.client("s3"), endpoint_name=endpoint, run=run, policy=policy, until=until)
    for each in found.suggestions:
        name = each.path or "answers"
        typer.echo(f"# {name}: differs in {each.differing:.2%} of the pairs by itself; {each.reason}")
    if not found.suggestions:
        typer.echo("# nothing differs by itself: no tolerance is needed")
    document = {"comparator": found.comparator.model_dump(mode="json", exclude_defaults=True)}
    document["comparator"] = {"kind": found.comparator.kind} | document["comparator"]
    typer.echo(yaml.safe_dump(document, sort_keys=False).rstrip())


def _show(record: DecisionRecord, *, as_json: bool) -> None:
    from shadow_provider.verdict.record import summary
    from shadow_provider.verdict.render import as_text

    if as_json:
        typer.echo(json.dumps(summary(record) | {"digest": record.digest}, indent=2))
    else:
        typer.echo(as_text(record.judgement, record.notes))


def _moment(option: str, text: str | None) -> datetime | None:
    from datetime import UTC

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text} is no ISO time such as 2026-03-01T10:00:00Z", param_hint=option) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _window_end(until: str | None, since: datetime) -> datetime:
    from datetime import UTC

    now = datetime.now(UTC)
    end = _moment("--until", until) or now - _CAPTURE_LAG
    if end > now:
        raise ValueError(f"--until: {until} is still to come, and so are its captures")
    if end <= since:
        raise ValueError(
            f"nothing to look at yet: the window would begin at {since:%Y-%m-%d %H:%M:%S} and end at "
            f"{end:%Y-%m-%d %H:%M:%S} UTC; wait, or give --since or --until"
        )
    return end
