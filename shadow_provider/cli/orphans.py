"""The command that lists, and on request removes, what dead deployments left."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from shadow_provider.cli.clients import Aws, Profile
from shadow_provider.cli.common import AsJson, EndpointUrl, Region, clear_errors, fail

if TYPE_CHECKING:
    from shadow_provider.plan.orphans import Orphan

_WRONG = 2
_LEFT = 3
_WIDE = 200
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def orphans(
    endpoint: Annotated[
        str | None, typer.Option(help="Only what was made for this endpoint.", show_default="all")
    ] = None,
    older_than: Annotated[
        str, typer.Option(help="From which age on what has no lease is given up, such as 30m, 24h or 7d.")
    ] = "24h",
    lease_s3_uri: Annotated[
        str | None, typer.Option(help="Prefix of the leases.", show_default="beside each endpoint's captures")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Delete what nothing uses.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before deleting.")] = False,
    as_json: AsJson = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """List what dead deployments left: configs, models, alarms, shadows that still run and what they cost, leases.

    Only what carries tags of a deployment is listed, and only what no endpoint uses is deleted. Exit codes: 0 nothing
    is left; 1 AWS could not be asked; 2 something was asked wrongly; 3 something is left.
    """
    age = _duration(older_than)
    if remove and as_json and not yes:
        fail("--remove with --json needs --yes: there is nobody to ask", _WRONG)
    with clear_errors():
        from shadow_provider.hooks.orphans import OrphanSearch

        aws = Aws(endpoint_url, region, profile)
        search = OrphanSearch(
            sagemaker=aws.client("sagemaker"),
            s3=aws.client("s3"),
            cloudwatch=aws.client("cloudwatch"),
            endpoint_name=endpoint,
            lease_s3_uri=lease_s3_uri,
        )
        found = search.find(older_than=age)
        removable = [orphan for orphan in found if orphan.removable]
        if not as_json:
            _show(found)
        removed: list[Orphan] = []
        if remove and removable and (yes or typer.confirm(f"Delete {len(removable)} of them?")):
            removed = search.remove(found)
    if as_json:
        typer.echo(json.dumps({"orphans": _plain(found), "removed": [orphan.name for orphan in removed]}, indent=2))
    elif removed:
        typer.echo(f"deleted {len(removed)}")
    gone = {(orphan.kind, orphan.name) for orphan in (removable if removed else ())}
    if any((orphan.kind, orphan.name) not in gone for orphan in found):
        raise typer.Exit(_LEFT)


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([mhd])", text)
    if found is None:
        fail(f"--older-than {text}: must be a number with m, h or d, such as 24h", _WRONG)
    return timedelta(**{_UNITS[found[2]]: float(found[1])})


def _plain(found: Sequence[Orphan]) -> list[dict[str, object]]:
    return [{**dataclasses.asdict(orphan), "since": orphan.since.isoformat()} for orphan in found]


def _show(found: Sequence[Orphan]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _WIDE
    if not found:
        console.print("nothing is left of dead deployments")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("kind", "name", "since (UTC)", "made by", "cost so far", "removable"):
        table.add_column(heading)
    for orphan in found:
        cost = ", ".join(f"{hours:g} h {kind}" for kind, hours in orphan.instance_hours.items())
        since = f"{orphan.since:%Y-%m-%d %H:%M}"
        table.add_row(orphan.kind, orphan.name, since, orphan.whose, cost, "yes" if orphan.removable else "no")
    console.print(table)
    for orphan in found:
        if orphan.remedy:
            console.print(f"{orphan.kind} {orphan.name}: {orphan.remedy}", markup=False)
