"""A whole agent that serves its tasks: who is told what, and who is not."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack

import aiohttp
import anyio
import pytest
from tests.component.agent_lab import a_payload_container, task_arn
from tests.component.endpoints_lab import ADDRESS, REFUSED, Plane, a_host, a_task, address_of, credentials

from wherry.agent.endpoints import connections, peers, protection, server, statistics
from wherry.agent.link.base import UnreachableError
from wherry.model.protocol import acs

pytestmark = pytest.mark.anyio

NOT_FOUND = {
    "code": "InvalidIdInRequest",
    "message": "CredentialsV2Request: Credentials not found",
    "HTTPErrorCode": 400,
}
OWN, OTHER = address_of(5), address_of(6)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def host(tmp_path):
    async with a_host(tmp_path) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(statistics, "APART", 0.05)
    monkeypatch.setattr(server, "LOOK", 0.02)


@pytest.fixture
def plane():
    return Plane()


async def test_a_container_is_told_where_to_ask_and_finds_itself_and_its_task_there(host, plane):
    async with host.agent(plane):
        await plane.send_tasks(a_task(5, a_payload_container(), a_payload_container("side"), service_name="web"))
        await host.runs(2)
        status, found = await host.ask(host.uri(5), of=OWN)
        assert (status, found["Name"], found["KnownStatus"]) == (200, "app", "RUNNING")
        status, whole = await host.ask(host.uri(5, name="side") + "/task", of=OWN)
        assert (status, whole["TaskARN"], whole["ServiceName"]) == (200, task_arn(5), "web")
        assert (whole["AvailabilityZone"], whole["VPCID"]) == ("us-east-1a", "vpc-1")
        assert sorted(one["Name"] for one in whole["Containers"]) == ["app", "side"]
        status, old = await host.ask(host.uri(5, "ECS_CONTAINER_METADATA_URI") + "/task", of=OWN)
        assert (status, "VPCID" in old) == (200, False)


async def test_what_ecs_injects_wins_over_the_definition_and_nothing_else_does(host, plane):
    own = {"ECS_AGENT_URI": "http://elsewhere", "AWS_REGION": "eu-west-1"}
    async with host.agent(plane):
        await plane.send_tasks(a_task(5, a_payload_container(environment=own)))
        await host.runs(1)
        found = host.environment(5)
    assert found["ECS_AGENT_URI"].startswith("http://169.254.170.2/api/")
    assert found["AWS_REGION"] == "eu-west-1"
    assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" not in found


async def test_only_the_task_itself_may_ask_by_its_token(host, plane):
    async with host.agent(plane):
        await plane.send_tasks(a_task(5), a_task(6))
        await host.runs(2)
        uri = host.uri(5)
        token = uri.rpartition("/")[2]
        refusals = {
            f"/v4/{token}": (
                404,
                "V4 container metadata handler: unable to get container ID from request: "
                "unable to get docker ID from v3 endpoint ID: " + token,
            ),
            f"/v4/{token}/task": (
                404,
                "V4 task metadata handler: unable to get task arn from request: "
                "unable to get task Arn from v3 endpoint ID: " + token,
            ),
            f"/v4/{token}/stats": (
                404,
                "V4 container stats handler: unable to get task arn from request: "
                "unable to get task Arn from v3 endpoint ID: " + token,
            ),
            f"/v3/{token}": (
                400,
                "V3 container metadata handler: unable to get container ID from request: "
                "unable to get docker ID from v3 endpoint ID: " + token,
            ),
        }
        for path, refusal in refusals.items():
            assert (await host.ask(path, of=OWN))[0] == 200
            assert await host.ask(path, of=OTHER) == refusal
            assert await host.ask(path, of=ADDRESS) == refusal
        assert (await host.ask(f"/v4/{'0' * 32}", of=OWN))[0] == 404


async def test_credentials_of_the_task_role_are_the_tasks_and_of_the_execution_role_the_hosts(host, plane):
    own, execution = credentials("own"), credentials("execution", "TaskExecution")
    async with host.agent(plane):
        await plane.send_tasks(a_task(5, role_credentials=own, execution_role_credentials=execution), a_task(6))
        assert [await plane.hear(), await plane.hear()] == [
            acs.IAMRoleCredentialsAckRequest(
                message_id="m", credentials_id=one.credentials_id, expiration=one.expiration
            )
            for one in (own, execution)
        ]
        await host.runs(2)
        uri = host.environment(5)["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
        assert await host.ask(uri, of=OWN) == (
            200,
            {
                "RoleArn": own.role_arn,
                "AccessKeyId": "ASIAown",
                "SecretAccessKey": "secret-own",
                "Token": "token-own",
                "Expiration": "2026-11-26T12:00:00Z",
            },
        )
        assert (await host.ask("/v1/credentials?id=id-own", of=OWN))[0] == 200
        assert [await host.ask(uri, of=who) for who in (OTHER, ADDRESS)] == [(400, NOT_FOUND)] * 2
        assert (await host.ask("/v2/credentials/id-execution", of=ADDRESS))[1]["AccessKeyId"] == "ASIAexecution"
        assert await host.ask("/v2/credentials/id-execution", of=OWN) == (400, NOT_FOUND)
        assert await host.ask("/v2/credentials/other", of=OWN) == (400, NOT_FOUND)
        status, missing = await host.ask("/v1/credentials", of=OWN)
        assert (status, missing["code"]) == (400, "NoIdInRequest")


async def test_fresh_credentials_are_served_and_acknowledged_and_those_of_strangers_are_not(host, plane):
    async with host.agent(plane):
        await plane.send_tasks(a_task(5, role_credentials=credentials("own")))
        await plane.hear()
        fresh = acs.IAMRoleCredentialsMessage(
            message_id="f", task_arn=task_arn(5), role_type="TaskApplication", role_credentials=credentials("new")
        )
        answer = await plane.say(fresh)
        assert answer == acs.IAMRoleCredentialsAckRequest(
            message_id="f", credentials_id="id-new", expiration="2026-11-26T12:00:00Z"
        )
        found = [(await host.ask(f"/v2/credentials/{one}", of=OWN))[1] for one in ("id-own", "id-new")]
        assert [one["AccessKeyId"] for one in found] == ["ASIAnew", "ASIAnew"]
        stray = acs.IAMRoleCredentialsMessage(
            message_id="s", task_arn=task_arn(9), role_type="TaskApplication", role_credentials=credentials("stray")
        )
        assert isinstance(await plane.say(stray), acs.NackRequest)
        assert (await host.ask("/v2/credentials/id-stray", of=address_of(9)))[0] == 400


async def test_a_restart_keeps_tokens_and_credentials_and_what_is_missing_is_awaited(host, plane, tmp_path):
    async with host.agent(plane):
        await plane.send_tasks(a_task(5, role_credentials=credentials("own")))
        await host.runs(1)
    silent = Plane()
    async with host.agent(silent):
        assert (await host.ask(host.uri(5), of=OWN))[0] == 200
        assert (await host.ask("/v2/credentials/id-own", of=OWN))[1]["AccessKeyId"] == "ASIAown"
    for path in (tmp_path / "one" / "credentials").iterdir():
        path.unlink()
    async with host.agent(silent):
        status, found = await host.ask("/v2/credentials/id-own", of=OWN)
        assert (status, found["code"]) == (503, "CredentialsUninitialized")
        assert (await host.ask("/v2/credentials/id-own", of=OTHER))[0] == 400


async def test_the_credentials_of_a_task_that_is_over_are_gone(host, plane, tmp_path):
    script = a_payload_container(script="run_for=0.05")
    async with host.agent(plane):
        await plane.send_tasks(a_task(5, script, role_credentials=credentials("own")))
        with anyio.fail_after(5):
            while (await host.ask("/v2/credentials/id-own", of=OWN))[0] != 400:
                continue
        assert list((tmp_path / "one" / "credentials").iterdir()) == []
        assert await host.ask("/v2/credentials/id-own", of=OWN) == (400, NOT_FOUND)


async def test_no_credentials_are_in_the_journal_or_what_the_agent_prints(host, plane, tmp_path, capsys):
    async with host.agent(plane):
        await plane.send_tasks(a_task(5, role_credentials=credentials("own")))
        await host.runs(1)
        await host.ask("/v2/credentials/id-own", of=OWN)
        await host.ask("/v2/credentials/id-own", of=OTHER)
    written = b"".join(path.read_bytes() for path in (tmp_path / "one").glob("journal*"))
    assert b"id-own" in written
    printed = "".join(capsys.readouterr())
    for secret in ("secret-own", "token-own"):
        assert secret.encode() not in written
        assert secret not in printed


async def test_statistics_have_rates_and_those_of_the_task_are_by_container(host, plane):
    async with host.agent(plane):
        await plane.send_tasks(a_task(5, a_payload_container(), a_payload_container("side")))
        await host.runs(2)
        _, found = await host.ask(host.uri(5) + "/stats", of=OWN)
        assert found["network_rate_stats"]["rx_bytes_per_sec"] == pytest.approx(1024, rel=0.5)
        assert found["precpu_stats"]["cpu_usage"]["total_usage"] < found["cpu_stats"]["cpu_usage"]["total_usage"]
        _, every = await host.ask(host.uri(5) + "/task/stats", of=OWN)
        assert every.keys() == set(host.engine.containers)
        _, old = await host.ask(host.uri(5, "ECS_CONTAINER_METADATA_URI") + "/stats", of=OWN)
        assert "network_rate_stats" not in old


async def test_an_engine_that_does_not_answer_is_an_error_of_the_stock_agents(host, plane):
    async with host.agent(plane):
        await plane.send_tasks(a_task(5))
        await host.runs(1)
        uri = host.uri(5)
        [runtime_id] = host.engine.containers
        host.engine.crash()
        assert await host.ask(uri, of=OWN) == (500, f"unable to generate metadata for container '{runtime_id}'")
        assert await host.ask(uri + "/stats", of=OWN) == (500, f"Unable to get container stats for: {runtime_id}")
        host.engine.restart()


async def test_tags_are_asked_for_and_what_cannot_be_had_is_told(host, plane):
    plane.answers["ListTagsForResource"] = {"tags": [{"key": "team", "value": "red"}]}
    async with host.agent(plane):
        await plane.send_tasks(a_task(5), a_task(6, launch_type="EC2"))
        await host.runs(2)
        _, found = await host.ask(host.uri(5) + "/taskWithTags", of=OWN)
        assert (found["TaskTags"], "ContainerInstanceTags" in found) == ({"team": "red"}, False)
        _, found = await host.ask(host.uri(6) + "/taskWithTags", of=OTHER)
        assert found["ContainerInstanceTags"] == {"team": "red"}
        plane.answers["ListTagsForResource"] = REFUSED
        _, found = await host.ask(host.uri(5) + "/taskWithTags", of=OWN)
        assert found["Errors"] == [
            {
                "ErrorField": "TaskTags",
                "ErrorCode": "AccessDeniedException",
                "ErrorMessage": "no",
                "StatusCode": 400,
                "RequestId": "r-1",
                "ResourceARN": task_arn(5),
            }
        ]


async def test_a_task_protects_itself_by_its_role(host, plane):
    protected = {"taskArn": task_arn(5), "protectionEnabled": True, "expirationDate": 1_700_000_000}
    plane.answers["UpdateTaskProtection"] = {"protectedTasks": [protected], "failures": []}
    async with host.agent(plane):
        await plane.send_tasks(a_task(5, role_credentials=credentials("own")))
        await host.runs(1)
        path = host.uri(5, "ECS_AGENT_URI") + "/task-protection/v1/state"
        wanted = b'{"ProtectionEnabled": true, "ExpiresInMinutes": 60}'
        status, found = await host.ask(path, of=OWN, method="PUT", data=wanted)
        assert (status, found["protection"]["ExpirationDate"]) == (200, "2023-11-14T22:13:20Z")
        _, parameters, signer = next(one for one in plane.calls if one[0] == "UpdateTaskProtection")
        assert (parameters["tasks"], parameters["protectionEnabled"], parameters["expiresInMinutes"]) == (
            [task_arn(5)],
            True,
            60,
        )
        assert signer.access_key_id == "ASIAown"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "UpdateTaskProtection: failed to decode request"),
        (b'{"ProtectionEnabled": true, "Else": 1}', "UpdateTaskProtection: failed to decode request"),
        (b'{"ProtectionEnabled": "yes"}', "UpdateTaskProtection: failed to decode request"),
        (b"{}", "Invalid request: does not contain 'ProtectionEnabled' field"),
    ],
)
async def test_a_protection_that_says_nothing_is_refused(host, plane, body, text):
    async with host.agent(plane):
        await plane.send_tasks(a_task(5, role_credentials=credentials("own")))
        await host.runs(1)
        path = host.uri(5, "ECS_AGENT_URI") + "/task-protection/v1/state"
        status, found = await host.ask(path, of=OWN, method="PUT", data=body)
        assert (status, found["error"]["Code"], found["error"]["Message"]) == (400, "InvalidParameterException", text)
        assert not [one for one in plane.calls if one[0] == "UpdateTaskProtection"]


async def test_a_protection_that_cannot_be_had_says_why_in_the_stock_agents_words(host, plane, monkeypatch):
    monkeypatch.setattr(protection, "PATIENCE", 0.05)
    async with host.agent(plane):
        await plane.send_tasks(a_task(5, role_credentials=credentials("own")), a_task(6))
        await host.runs(2)
        path = host.uri(5, "ECS_AGENT_URI") + "/task-protection/v1/state"
        plane.answers["GetTaskProtection"] = REFUSED
        assert await host.ask(path, of=OWN) == (
            400,
            {"requestID": "r-1", "error": {"Arn": task_arn(5), "Code": "AccessDeniedException", "Message": "no"}},
        )
        plane.answers["GetTaskProtection"] = UnreachableError("nobody there")
        assert (await host.ask(path, of=OWN))[1]["error"]["Code"] == "ServerException"
        plane.delay = 1
        status, found = await host.ask(path, of=OWN)
        assert (status, found["error"]["Code"]) == (504, "RequestCanceled")
        assert found["error"]["Message"] == "Timed out calling ECS Task Protection API"
        path = host.uri(6, "ECS_AGENT_URI") + "/task-protection/v1/state"
        assert await host.ask(path, of=OTHER) == (
            403,
            {
                "error": {
                    "Arn": task_arn(6),
                    "Code": "AccessDeniedException",
                    "Message": "Invalid Request: no task IAM role credentials available for task",
                }
            },
        )
        assert await host.ask(path, of=OWN) == (
            404,
            {"error": {"Code": "ResourceNotFoundException", "Message": "Failed to find a task for the request"}},
        )


async def test_who_asks_too_often_is_told_so_and_others_are_not(host, plane):
    async with host.agent(plane):
        await plane.send_tasks(a_task(5), a_task(6))
        await host.runs(2)
        statuses = [(await host.ask("/v4/x", of=OWN))[0] for _ in range(200)]
        assert 429 in statuses
        assert (await host.ask(host.uri(6), of=OTHER))[0] == 200


async def test_connections_that_a_task_keeps_open_cost_nobody_else_his(host, plane):
    async with host.agent(plane), AsyncExitStack() as kept:
        await plane.send_tasks(a_task(5), a_task(6))
        await host.runs(2)
        endings = []
        for _ in range(connections.MOST + 10):
            reader, writer = await asyncio.open_connection(ADDRESS, host.port, local_addr=(OWN, 0))
            kept.callback(writer.close)
            endings.append(reader)
        with anyio.fail_after(5):
            for one in endings[connections.MOST :]:
                with contextlib.suppress(ConnectionResetError):
                    assert await one.read() == b""
        assert not any(one.at_eof() for one in endings[: connections.MOST])
        assert (await host.ask(host.uri(6), of=OTHER))[0] == 200
        await kept.aclose()
        with anyio.fail_after(5):
            while await asked(host, OWN) != 200:
                continue


async def asked(host, of):
    try:
        return (await host.ask(host.uri(5), of=of))[0]
    except (OSError, aiohttp.ClientError):
        return None


async def test_agents_of_one_host_answer_for_each_other(host, plane):
    other = Plane()
    async with host.agent(plane, "one"):
        await plane.send_tasks(a_task(5, role_credentials=credentials("own")))
        async with host.agent(other, "two"):
            await other.send_tasks(a_task(6, role_credentials=credentials("other")))
            await host.runs(2)
            for _ in range(8):
                assert (await host.ask(host.uri(5), of=OWN))[0] == 200
                assert (await host.ask("/v2/credentials/id-other", of=OTHER))[1]["AccessKeyId"] == "ASIAother"
                assert await host.ask("/v2/credentials/id-other", of=OWN) == (400, NOT_FOUND)
            uri = host.uri(5)
        # One has gone; what the kernel gave it goes to the other.
        assert [(await host.ask(uri, of=OWN))[0] for _ in range(8)] == [200] * 8
        assert [path.name for path in host.sockets.iterdir()] == ["one.sock"]


async def test_a_header_of_a_task_does_not_make_it_another(host, plane):
    async with host.agent(plane):
        await plane.send_tasks(a_task(5))
        await host.runs(1)
        connector = aiohttp.TCPConnector(local_addr=(OTHER, 0))
        url = f"http://{ADDRESS}:{host.port}{host.uri(5)}"
        async with aiohttp.ClientSession(connector=connector) as session:
            for said in (OWN, "host"):
                async with session.get(url, headers={"X-Wherry-Source": said}) as answer:
                    assert answer.status == 404


async def test_no_spelling_of_a_header_makes_a_task_another_to_another_agent(host, plane):
    other = Plane()
    async with host.agent(plane, "one"):
        await plane.send_tasks(a_task(5))
        await host.runs(1)
        uri = host.uri(5)
        # What the kernel gives the second agent it passes on to the first.
        async with host.agent(other, "two"):
            for _ in range(8):
                connector = aiohttp.TCPConnector(local_addr=(OTHER, 0))
                async with aiohttp.ClientSession(connector=connector) as session:
                    url = f"http://{ADDRESS}:{host.port}{uri}"
                    said = [("X-Wherry-Source", OWN), ("x-wherry-source", OWN)]
                    async with session.get(url, headers=said) as answer:
                        assert answer.status == 404


async def test_what_a_dead_agent_left_is_no_obstacle_and_is_removed(host, plane):
    for name in ("one", "dead"):
        peers.listen(host.sockets, name).close()
    (host.sockets / "one.new").write_text("")
    async with host.agent(plane):
        await plane.send_tasks(a_task(5))
        await host.runs(1)
        assert (await host.ask(host.uri(5), of=OWN))[0] == 200
        assert (await host.ask("/v4/x", of=OWN))[0] == 404
        assert [path.name for path in host.sockets.iterdir()] == ["one.sock"]
    assert list(host.sockets.iterdir()) == []


async def test_a_port_that_is_taken_keeps_no_task_from_running_and_is_taken_over(host, plane):
    stranger = await anyio.create_tcp_listener(local_host=ADDRESS, local_port=host.port)
    async with host.agent(plane):
        await plane.send_tasks(a_task(5))
        await host.runs(1)
        await stranger.aclose()
        with anyio.fail_after(3):
            while await asked(host, OWN) != 200:
                continue
