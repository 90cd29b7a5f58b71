"""Random tasks, and a small world in which their steps are carried out in any order, fail, and race."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st
from msgspec.structs import replace

from wherry.agent import dependencies, progress, reports, steps
from wherry.agent.memory import Assignment, Fault
from wherry.agent.progress import Phase, View
from wherry.agent.runtime.base import ContainerState, Health, Observed
from wherry.agent.spec import Condition, ContainerSpec, Dependency, Eni, HealthCheck, Secret, TaskSpec
from wherry.model.task import DesiredStatus

ARN = "arn:aws:ecs:us-east-1:000000000000:task/default/" + "0" * 32
ENI = Eni(
    id="eni-1",
    attachment_arn="arn:aws:ecs:us-east-1:000000000000:attachment/a",
    mac_address="02:00:00:00:00:01",
    ipv4_address="172.31.0.5",
    gateway_cidr="172.31.0.1/20",
)


def a_container(name: str, **members: object) -> ContainerSpec:
    return ContainerSpec(**{"name": name, "image": f"fake/{name}", **members})


def a_task(*containers: ContainerSpec, arn: str = ARN, eni: Eni | None = ENI, **members: object) -> TaskSpec:
    return TaskSpec(arn=arn, cluster="default", family="web", version="1", containers=containers, eni=eni, **members)


def after(name: str, condition: Condition = Condition.START) -> Dependency:
    return Dependency(container=name, condition=condition)


@st.composite
def tasks(draw: st.DrawFn) -> TaskSpec:
    """Draw a task of up to five containers whose dependencies have no cycle."""
    count = draw(st.integers(1, 5))
    essential = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    essential[draw(st.integers(0, count - 1))] = True
    checked = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    containers: list[ContainerSpec] = []
    for index in range(count):
        wanted = draw(st.lists(st.integers(0, index - 1), unique=True, max_size=2)) if index else []
        found = []
        for other in wanted:
            allowed = [c for c in Condition if c is not Condition.HEALTHY or checked[other]]
            found.append(after(f"c{other}", draw(st.sampled_from(allowed))))
        containers.append(
            a_container(
                f"c{index}",
                essential=essential[index],
                depends_on=tuple(found),
                health_check=HealthCheck(command=("CMD", "true")) if checked[index] else None,
                start_timeout=draw(st.sampled_from([None, 0, 3])),
                secrets=draw(st.sampled_from([(), (), (Secret(name="KEY", value_from="/key"),)])),
            )
        )
    return a_task(*draw(st.permutations(containers)), eni=draw(st.sampled_from([None, ENI])))


class World:
    """An engine and a control plane in a dictionary; `carry_out` checks what must never happen."""

    def __init__(self, spec: TaskSpec, random: Random) -> None:
        self.assignment = Assignment(spec=spec, fault=dependencies.unresolvable(spec))
        self.random = random
        self.now = 1000.0
        self.engine: dict[str, Observed] = {}
        self.sandboxed = False
        self.supplied = not self.has_secrets
        self.creates_ahead = random.random() < 0.5
        self.started: list[str] = []
        self.told: list[tuple[str, str]] = []
        self.finished = False

    def look(self) -> View:
        observed = list(self.engine.values())
        self.assignment = progress.learn(self.assignment, observed)
        self.assignment = dependencies.settle(progress.look(self.assignment, observed), now=self.now)
        return progress.look(self.assignment, observed)

    def turn(self, *, fair: bool = False, faults: bool = True) -> View:
        view = self.look()
        plan = steps.next_steps(
            view,
            now=self.now,
            sandboxed=self.sandboxed,
            supplied=self.supplied,
            creates_ahead=self.creates_ahead,
        )
        for step in plan.steps:
            if fair or self.random.random() < 0.6:
                self.carry_out(step, faults=faults)
        return view

    def happen(self) -> None:
        """Let time pass and containers end or become healthy."""
        self.now += self.random.choice([0, 1, 5])
        for name, one in list(self.engine.items()):
            if one.state is not ContainerState.RUNNING:
                continue
            if self.random.random() < 0.15:
                self.end(name, self.random.choice([0, 0, 1, 137]))
            elif self.assignment.spec.container(name).health_check and self.random.random() < 0.4:
                self.engine[name] = replace(one, health=self.random.choice([Health.HEALTHY, Health.UNHEALTHY]))

    def end(self, name: str, code: int) -> None:
        self.engine[name] = replace(
            self.engine[name], state=ContainerState.EXITED, exit_code=code, finished_at=self.now
        )

    def crash(self) -> None:
        """Restart the agent: only the assignment survives."""
        self.sandboxed = False
        self.supplied = not self.has_secrets

    @property
    def has_secrets(self) -> bool:
        return any(container.secrets for container in self.assignment.spec.containers)

    def carry_out(self, step: steps.Step, *, faults: bool) -> None:  # noqa: C901, PLR0912  a case for each step
        broken = faults and self.random.random() < 0.05
        match step:
            case steps.EnsureSandbox():
                self.sandboxed = True
                self.assignment = replace(self.assignment, attached=True)
            case steps.FetchSupplies():
                assert not self.supplied, "a task was supplied twice"
                self.supplied = not broken
                if broken:
                    fault = Fault(name="ResourceInitializationError", message="no")
                    self.assignment = replace(self.assignment, fault=fault)
            case steps.PullImage(container=container):
                self.check_may_rise(container)
                self.note(container.name, **(self.fault() if broken else {"pulled": True}))
            case steps.CreateContainer(container=container):
                self.check_may_rise(container)
                assert self.sandboxed or self.creates_ahead, "a container was created too early"
                assert self.supplied, "a container was created without its secrets"
                if broken:
                    self.note(container.name, **self.fault())
                else:
                    self.engine[container.name] = Observed(
                        runtime_id=f"id-{container.name}",
                        task_arn=ARN,
                        name=container.name,
                        state=ContainerState.CREATED,
                    )
            case steps.StartContainer(name=name):
                self.check_may_rise(self.assignment.spec.container(name))
                assert self.sandboxed, "a container was started without its sandbox"
                assert name not in self.started, "a container was started twice"
                if broken:
                    self.note(name, **self.fault())
                else:
                    self.started.append(name)
                    self.engine[name] = replace(self.engine[name], state=ContainerState.RUNNING, started_at=self.now)
            case steps.StopContainer(name=name):
                self.check_may_fall(name)
                self.end(name, 143)
            case steps.Tell(report=report):
                kind = "task" if isinstance(report, reports.TaskReport) else "attachment"
                self.told.append((kind, report.status))
                self.assignment = reports.acknowledged(self.assignment, report, now=self.now)
            case steps.RemoveContainer(name=name):
                assert self.engine[name].state is not ContainerState.RUNNING, "a running container was removed"
                del self.engine[name]
            case steps.RemoveSandbox():
                assert all(one.state is not ContainerState.RUNNING for one in self.engine.values())
                self.sandboxed = False
                self.assignment = replace(self.assignment, detached=True)
            case steps.Finish():
                assert not self.engine, "a finished task left containers"
                self.finished = True

    def check_may_rise(self, container: ContainerSpec) -> None:
        """State the rule of dependsOn once more, in terms of the world."""
        assert self.assignment.desired is DesiredStatus.RUNNING, "something was brought up in a task that is to stop"
        for dependency in container.depends_on:
            on = self.engine.get(dependency.container)
            assert on is not None, f"{container.name} went on before {dependency.container} was there"
            assert on.started_at is not None or dependency.condition is Condition.CREATED
            match dependency.condition:
                case Condition.START | Condition.CREATED:
                    pass
                case Condition.COMPLETE:
                    assert on.state is ContainerState.EXITED
                case Condition.SUCCESS:
                    assert (on.state, on.exit_code) == (ContainerState.EXITED, 0)
                case Condition.HEALTHY:
                    assert (on.state, on.health) == (ContainerState.RUNNING, Health.HEALTHY)

    def check_may_fall(self, name: str) -> None:
        """Shutdown goes in reverse: nothing that depends on the container may still run."""
        for other in self.assignment.spec.containers:
            if any(dependency.container == name for dependency in other.depends_on):
                one = self.engine.get(other.name)
                assert one is None or one.state is not ContainerState.RUNNING, f"{name} was stopped before {other.name}"

    def note(self, name: str, **facts: object) -> None:
        memory = replace(self.assignment.memory(name), **facts)
        self.assignment = replace(self.assignment, containers={**self.assignment.containers, name: memory})

    @staticmethod
    def fault() -> dict[str, object]:
        return {"fault": Fault(name="CannotPullContainerError", message="no")}

    def want_stopped(self) -> None:
        self.assignment = replace(self.assignment, desired=DesiredStatus.STOPPED)

    def phases(self) -> dict[str, Phase]:
        return {container.name: container.phase for container in self.look().containers}
