"""The command that says before the start what a policy needs of an endpoint's traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from shadow_provider.cli.clients import Aws, Profile
from shadow_provider.cli.common import AsJson, EndpointUrl, Region, clear_errors, fail
from shadow_provider.cli.policies import PolicyOption, policy_of

if TYPE_CHECKING:
    from shadow_provider.policy.policy import Policy
    from shadow_provider.verdict.planning import Plan
    from shadow_provider.verdict.traffic import Traffic

_OUT_OF_REACH = 3
_WRONG = 2
_WIDE = 160


def plan(
    endpoint: Annotated[str | None, typer.Argument(help="The endpoint whose recent traffic is read.")] = None,
    variant: Annotated[str | None, typer.Option(help="Its production variant.", show_default="the only one")] = None,
    policy: PolicyOption = None,
    sampling_percentage: Annotated[
        float, typer.Option(help="Share of the requests that the shadow will get.", min=0.01, max=100)
    ] = 100.0,
    hours: Annotated[int, typer.Option(help="So many of the last whole hours are read.", min=1, max=24 * 60)] = 24,
    requests_per_hour: Annotated[
        float | None, typer.Option(help="Plan for this much traffic, without AWS.", min=0, show_default=False)
    ] = None,
    as_json: AsJson = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Say how many pairs and hours each gate of a policy needs, and what its deadline can prove.

    With neither an endpoint nor --requests-per-hour it says pairs only. Exit codes: 0; 1 the traffic could not be read;
    2 something was asked wrongly; 3 the deadline comes before a deciding gate or the minimum cover.
    """
    with clear_errors():
        from shadow_provider.policy.errors import PolicyError
        from shadow_provider.verdict.planning import plan as plan_of

        if endpoint is not None and requests_per_hour is not None:
            fail("give an endpoint or --requests-per-hour, not both", _WRONG)
        try:
            chosen = policy_of(policy)
        except PolicyError as error:
            fail(str(error), _WRONG)
        traffic = None
        if requests_per_hour is not None:
            traffic = _supposed(requests_per_hour)
        elif endpoint is not None:
            traffic = _recent(Aws(endpoint_url, region, profile), endpoint, variant, chosen, hours)
        made = plan_of(chosen, traffic, sampling_percentage=sampling_percentage)
    if as_json:
        typer.echo(made.model_dump_json(indent=2))
    else:
        _show(made)
    if made.hopeless:
        raise typer.Exit(_OUT_OF_REACH)


def _supposed(requests_per_hour: float) -> Traffic:
    """Traffic that somebody expects: even, by day and night."""
    from datetime import UTC, datetime, timedelta

    from shadow_provider.verdict.traffic import Traffic

    start = datetime.fromtimestamp(0, UTC)
    return Traffic(
        start=start,
        end=start + timedelta(days=1),
        hours=24,
        invocations_per_hour=requests_per_hour,
        busiest=None,
        quietest=None,
        error_rate=None,
        latency={},
    )


def _recent(aws: Aws, endpoint: str, variant: str | None, policy: Policy, hours: int) -> Traffic:
    from datetime import UTC, datetime, timedelta

    from shadow_provider.cli.endpoints import LiveEndpoint
    from shadow_provider.evidence.traffic import recent_traffic
    from shadow_provider.evidence.window import rounded_down

    if variant is None:
        variant = LiveEndpoint.described(aws.client("sagemaker"), endpoint).production(None, "--variant")["VariantName"]
    now = datetime.now(UTC)
    end = rounded_down(now, 3600)
    return recent_traffic(
        aws.client("cloudwatch"),
        endpoint_name=endpoint,
        variant=variant,
        start=end - timedelta(hours=hours),
        end=end,
        now=now,
        percentiles=policy.percentiles,
    )


def _show(plan: Plan) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from shadow_provider.verdict.plan_text import headings, in_one_line, rows

    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        # Nobody's screen: a file or a log has room for whole words.
        console.width = _WIDE
    console.print(in_one_line(plan), markup=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for number, heading in enumerate(headings(plan)):
        table.add_column(heading, justify="right" if number in (3, 4) else "left", no_wrap=number == 0)
    for row in rows(plan):
        table.add_row(*row)
    console.print(table)
    for warning in plan.warnings:
        console.print(f"warning: {warning}", markup=False, style="yellow")
    console.print("supposed:")
    for assumption in plan.assumptions:
        console.print(f"  {assumption}", markup=False, style="dim")
