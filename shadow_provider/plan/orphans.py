"""What dead deployments left behind, as a pure function of what there is. Tags decide; what has none is never ours."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from shadow_provider.plan import tags as tagging
from shadow_provider.plan.endpoint_state import EndpointState
from shadow_provider.plan.lease import Lease, LeaseState, described

Kind = Literal["alarm", "model", "endpoint config", "shadow", "lease"]
# What goes first. The shadow config goes last: its tags are the way back, should the removal end half-way.
_ORDER: Mapping[Kind, int] = {"alarm": 0, "model": 1, "endpoint config": 2, "shadow": 3, "lease": 4}


@dataclass(frozen=True)
class Made:
    """A resource with the tags of a deployment.

    Attributes:
        kind: what it is.
        name: its name.
        tags: all of its tags.
        created: when it was made.
        shadow_instance_type: of its shadow variant; None for anything but a shadow config.
    """

    kind: Kind
    name: str
    tags: Mapping[str, str]
    created: datetime
    shadow_instance_type: str | None = None

    @property
    def deployment(self) -> tuple[str, str]:
        """Endpoint and deployment, as the tags have them."""
        return self.tags.get(tagging.ENDPOINT, ""), self.tags[tagging.DEPLOYMENT]

    @property
    def role(self) -> str:
        """What it is for."""
        return self.tags.get(tagging.ROLE, "")


@dataclass(frozen=True)
class Orphan:
    """Something that a dead deployment left.

    Attributes:
        kind: what it is; ``shadow`` is an endpoint that still runs one, ``lease`` a lease that ran out.
        name: its name; of a shadow or a lease the endpoint's.
        endpoint: the endpoint of the deployment.
        deployment_id: the deployment, as the tag has it.
        dag: its DAG, None if not known.
        run: the run of that DAG.
        since: when it was made; of a lease when it ran out.
        removable: whether it may be deleted: nothing uses it.
        instance_hours: instance hours so far by instance type; only a running shadow costs any.
        remedy: what a person does about what is not removable.
    """

    kind: Kind
    name: str
    endpoint: str
    deployment_id: str
    dag: str | None
    run: str | None
    since: datetime
    removable: bool
    instance_hours: Mapping[str, float] = field(default_factory=dict)
    remedy: str | None = None

    @property
    def whose(self) -> str:
        """Name the deployment for people."""
        return described(self.deployment_id, self.dag, self.run)


def find_orphans(
    made: Sequence[Made],
    endpoints: Iterable[EndpointState],
    leases: Iterable[Lease],
    models_in: Callable[[str], Collection[str]],
    *,
    now: datetime,
    older_than: timedelta,
) -> list[Orphan]:
    """Say what dead deployments left, in the order in which it is to be removed.

    A deployment is dead when its lease ran out, was released or went to another; without any lease, when the youngest
    of what it made is older than the limit. While its endpoint is changing, none is.

    Args:
        made: everything with tags of ours.
        endpoints: every endpoint of the account and region, for each may use any config.
        leases: what is there of the leases of the endpoints that the tags name.
        models_in: the models in a config, whoever made it.
        now: the present time.
        older_than: the limit.
    """
    states, leases = {state.name: state for state in endpoints}, list(leases)
    dead = _dead(made, states, leases, now, older_than)
    in_use = _in_use(made, states.values(), models_in)
    found = [_as_orphan(item, since=item.created, removable=True)
             for item in made if item.deployment in dead and (item.kind, item.name) not in in_use]  # fmt: skip
    found += _running_shadows(made, states.values(), dead, now)
    found += [_of_lease(lease) for lease in _newest(leases) if lease.state is LeaseState.HELD and lease.expires <= now]
    return sorted(found, key=lambda orphan: (_ORDER[orphan.kind], "-shadow-" in orphan.name, orphan.name))


def _newest(leases: Iterable[Lease]) -> list[Lease]:
    newest: dict[str, Lease] = {}
    for lease in leases:
        if lease.state in (LeaseState.HELD, LeaseState.RELEASED):
            standing = newest.setdefault(lease.endpoint, lease)
            if lease.generation > standing.generation:
                newest[lease.endpoint] = lease
    return list(newest.values())


def _dead(
    made: Sequence[Made], states: Mapping[str, EndpointState], leases: list[Lease], now: datetime, older_than: timedelta
) -> set[tuple[str, str]]:
    youngest: dict[tuple[str, str], datetime] = {}
    for item in made:
        youngest[item.deployment] = max(item.created, youngest.get(item.deployment, item.created))
    had = {(lease.endpoint, tagging.tag_value(lease.owner)) for lease in leases if lease.state != LeaseState.WITHDRAWN}
    has = {
        (lease.endpoint, tagging.tag_value(lease.owner))
        for lease in [*_newest(leases), *(lease for lease in leases if lease.state is LeaseState.CLAIMED)]
        if not lease.is_free(now)
    }
    dead = {each for each, moment in youngest.items()
            if each not in has and (each in had or moment <= now - older_than)}  # fmt: skip
    return {each for each in dead if each[0] not in states or not states[each[0]].in_progress}


def _in_use(
    made: Sequence[Made], states: Collection[EndpointState], models_in: Callable[[str], Collection[str]]
) -> set[tuple[Kind, str]]:
    """Configs that an endpoint is on or changes to, the way back from those that are ours, and the models in them."""
    ours = {item.name: item for item in made if item.kind == "endpoint config"}
    configs = {name for state in states for name in (state.active_config, state.pending_config) if name}
    configs |= {ours[name].tags[tagging.BASELINE_CONFIG] for name in configs
                if name in ours and tagging.BASELINE_CONFIG in ours[name].tags}  # fmt: skip
    return {("endpoint config", name) for name in configs} | {
        ("model", model) for name in configs for model in models_in(name)
    }


def _running_shadows(
    made: Sequence[Made], states: Collection[EndpointState], dead: set[tuple[str, str]], now: datetime
) -> Iterable[Orphan]:
    ours = {item.name: item for item in made if item.kind == "endpoint config" and item.role == "shadow"}
    for state in states:
        config = ours.get(state.active_config or "")
        if config is None or config.deployment not in dead:
            continue
        hours = max(0.0, (now - config.created).total_seconds()) / 3600
        instances = sum(shadow.current_instances or 0 for shadow in state.shadows)
        baseline = config.tags.get(tagging.BASELINE_CONFIG)
        yield _as_orphan(
            config,
            kind="shadow",
            name=state.name,
            since=config.created,
            removable=False,
            instance_hours={config.shadow_instance_type or "unknown": round(instances * hours, 1)},
            remedy=_way_back(state.name, baseline),
        )


def _way_back(endpoint: str, baseline: str | None) -> str:
    if baseline is None:
        return "choose a config to go back to, and update the endpoint to it: the tag that named it is gone"
    return (
        "clear the task rollback of its run, or: "
        f"aws sagemaker update-endpoint --endpoint-name {endpoint} --endpoint-config-name {baseline}"
    )


def _as_orphan(
    item: Made,
    *,
    since: datetime,
    removable: bool,
    kind: Kind | None = None,
    name: str | None = None,
    instance_hours: Mapping[str, float] | None = None,
    remedy: str | None = None,
) -> Orphan:
    endpoint, deployment_id = item.deployment
    return Orphan(
        kind=kind or item.kind,
        name=name or item.name,
        endpoint=endpoint,
        deployment_id=deployment_id,
        dag=item.tags.get(tagging.DAG),
        run=item.tags.get(tagging.RUN),
        since=since,
        removable=removable,
        instance_hours=instance_hours or {},
        remedy=remedy,
    )


def _of_lease(lease: Lease) -> Orphan:
    return Orphan(
        kind="lease",
        name=lease.endpoint,
        endpoint=lease.endpoint,
        deployment_id=lease.owner,
        dag=lease.dag,
        run=lease.run,
        since=lease.expires,
        removable=False,
        remedy="nothing: the next deployment takes it over, or this one goes on with it",
    )
