"""The commands that talk to a running local AWS: faults, calls, reset."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from shadow_provider.cli.common import AsJson, clear_errors, fail
from shadow_provider.cli.local import DEFAULT_URL, LocalUrl
from shadow_provider.cli.typed_values import WrongValueError, in_one_line, split, typed

if TYPE_CHECKING:
    from pydantic import BaseModel

    from shadow_provider.local.control.calls import Call
    from shadow_provider.local.faults import Fault

fault = typer.Typer(
    help="Faults of a running local AWS: what is to go wrong, where and how often.", no_args_is_help=True
)

_FOLLOW_SECONDS = 0.5


@fault.command()
def add(
    on: Annotated[
        str, typer.Argument(help="What it is on: api, variant, endpoint, capture or metrics; or a fault as JSON.")
    ],
    pairs: Annotated[
        list[str] | None, typer.Argument(help="Its fields, see `fault kinds`.", metavar="[NAME=VALUE]...")
    ] = None,
    url: LocalUrl = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Set a fault, for instance: fault add api kind=throttle operation='Describe*' probability=0.3."""
    with clear_errors():
        from shadow_provider.local.control.client import ControlClient, Faults
        from shadow_provider.local.faults.notation import written

        try:
            meant = fault_of(on, pairs or [])
        except WrongValueError as error:
            fail(str(error), 2)
        made = Faults(ControlClient(url)).add(meant)
        typer.echo(made.state.model_dump_json() if as_json else f"{made.id}: {written(meant)}")


@fault.command(name="list")
def list_(url: LocalUrl = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show the faults that are set, how often each matched and how often it fired."""
    from rich.console import Console
    from rich.table import Table

    with clear_errors():
        from shadow_provider.local.control.client import ControlClient, Faults
        from shadow_provider.local.faults.notation import written

        states = Faults(ControlClient(url)).list()
    if as_json:
        typer.echo(json.dumps([state.model_dump() for state in states], indent=2))
        return
    table = Table("id", "fault", "seen", "fired", "held")
    for state in states:
        table.add_row(state.id, written(state.fault), str(state.seen), str(state.fired), str(state.held))
    Console().print(table if states else "No faults are set.")


@fault.command()
def remove(fault_id: Annotated[str, typer.Argument(metavar="ID")], url: LocalUrl = DEFAULT_URL) -> None:
    """Remove a fault; processes that it stopped go on."""
    with clear_errors():
        from shadow_provider.local.control.client import ControlClient

        ControlClient(url).send("DELETE", f"faults/{fault_id}")


@fault.command()
def clear(url: LocalUrl = DEFAULT_URL) -> None:
    """Remove all faults."""
    with clear_errors():
        from shadow_provider.local.control.client import ControlClient

        removed = ControlClient(url).send("DELETE", "faults")["removed"]
    typer.echo(f"{removed} removed")


@fault.command()
def kinds() -> None:
    """Show which faults there are, and the fields of each."""
    from rich.console import Console
    from rich.table import Table

    table = Table("on", "kind", "fields")
    for name, model in _models().items():
        known = model.model_json_schema()["properties"]
        others = [field for field in known if field not in ("on", "kind")]
        table.add_row(name, "\n".join(known["kind"]["enum"]), ", ".join(others))
        table.add_section()
    Console().print(table)


def calls(
    operation: Annotated[str, typer.Option(help="Pattern of the operation.")] = "*",
    resource: Annotated[str, typer.Option(help="Pattern of a name that the call mentions.")] = "*",
    exclude: Annotated[str | None, typer.Option(help="Pattern of operations to leave out.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(help="The newest so many.", min=1)] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with those to come, until Ctrl-C.")] = False,
    clear_log: Annotated[bool, typer.Option("--clear", help="Empty the log instead.")] = False,
    url: LocalUrl = DEFAULT_URL,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each.")] = False,
) -> None:
    """Show the AWS calls that a running local AWS received."""
    with clear_errors():
        from shadow_provider.local.control.client import ControlClient

        client = ControlClient(url)
        if clear_log:
            client.send("DELETE", "calls")
            return
        filters: dict[str, str | int] = {"operation": operation, "resource": resource}
        if exclude is not None:
            filters["exclude"] = exclude
        found, last = client.calls(**filters, limit=limit), 0
        try:
            while True:
                _show_calls(found, as_json=as_json)
                last = found[-1].sequence if found else last
                if not follow:
                    return
                time.sleep(_FOLLOW_SECONDS)
                found = client.calls(**filters, since=last)
        except KeyboardInterrupt:
            return


def reset(url: LocalUrl = DEFAULT_URL) -> None:
    """Make a running local AWS as it was when it had just started: everything in it is deleted."""
    with clear_errors():
        from shadow_provider.local.control.client import ControlClient

        ControlClient(url).send("POST", "reset")


def fault_of(on: str, pairs: list[str]) -> Fault:
    """The fault that the arguments mean.

    Raises:
        WrongValueError: They mean none; the text names the field.
    """
    from pydantic import ValidationError

    from shadow_provider.local.faults import FAULT

    try:
        if on.lstrip().startswith("{"):
            if pairs:
                raise WrongValueError("a fault as JSON is complete; nothing may follow it")
            return FAULT.validate_json(on)
        models = _models()
        if on not in models:
            raise WrongValueError(f"a fault is on {', '.join(models)}; not on {on}")
        values = {name: typed(models[on], name, text) for name, text in map(split, pairs)}
        return FAULT.validate_python({"on": on, **values})
    except ValidationError as error:
        raise WrongValueError(in_one_line(error, {}, skip=1)) from None


def _models() -> dict[str, type[BaseModel]]:
    """The models of faults by what they are on."""
    from shadow_provider.local import faults

    models = get_args(faults.Fault)
    return {model.model_fields["on"].default: model for model in models}


def _show_calls(found: list[Call], *, as_json: bool) -> None:
    from rich.console import Console

    from shadow_provider.local.live_view import call_line

    console = Console(highlight=False)
    for call in found:
        if as_json:
            typer.echo(call.model_dump_json())
        else:
            console.print(call_line(call), soft_wrap=not console.is_terminal)
