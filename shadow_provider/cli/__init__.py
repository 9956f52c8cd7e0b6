"""The ``sagemaker-shadow`` command: plans, evaluations, records and reports; the local AWS and the demo.

This package is imported by every call, ``--help`` included, so commands import what they need when they run.
"""

from __future__ import annotations

from typing import Annotated

import typer

from shadow_provider import __version__
from shadow_provider.cli import control, demo, evaluating, local, orphans, planning, records

app = typer.Typer(
    name="sagemaker-shadow",
    help="Shadow deployments of SageMaker models: plan, evaluate, judge, report; a local AWS and a demo.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_DECISIONS = "Decisions"
_DEPLOYMENTS = "Deployments"
_LOCAL = "The local AWS"
_DEMO = "Models, traffic and the demo"


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"sagemaker-shadow {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Shadow deployments of SageMaker models."""


app.command(rich_help_panel=_DECISIONS)(planning.plan)
app.command(rich_help_panel=_DECISIONS)(evaluating.evaluate)
app.command(rich_help_panel=_DECISIONS)(records.judge)
app.command(rich_help_panel=_DECISIONS)(records.report)
app.command(rich_help_panel=_DEPLOYMENTS)(orphans.orphans)
app.command(rich_help_panel=_LOCAL)(local.local)
app.command(rich_help_panel=_LOCAL)(local.watch)
app.add_typer(control.fault, name="fault", rich_help_panel=_LOCAL)
app.command(rich_help_panel=_LOCAL)(control.calls)
app.command(rich_help_panel=_LOCAL)(control.reset)
app.command(rich_help_panel=_DEMO)(demo.models)
app.command(rich_help_panel=_DEMO)(demo.demo_setup)
app.command(rich_help_panel=_DEMO)(demo.traffic)
app.command(name="demo", rich_help_panel=_DEMO)(demo.demo)
