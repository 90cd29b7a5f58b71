"""Calls that go from the connection to the gateway without ASGI, with uvicorn's own protocol as the oracle."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from wherry.wire import calls
from wherry.wire.calls import SMALL, CallProtocol, NotACallError, read_call, write_answer
from wherry.wire.gateway import Gateway
from wherry.wire.message import Response
from wherry.wire.trust import Trust

TARGETS = {"ecs": "AmazonEC2ContainerServiceV20141113", "logs": "Logs_20140328"}
DATE = (b"date", b"Thu, 26 Nov 2026 20:00:00 GMT")
MAX_BODY = 32 * 1024


def call(operation="ListClusters", body=b"{}", service="ecs", **headers):
    named = {
        "Host": "localhost:4566",
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"{TARGETS[service]}.{operation}",
        "Content-Length": str(len(body)),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = [b"POST / HTTP/1.1", *(f"{name}: {value}".encode() for name, value in named.items() if value is not None)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


LAST = call(Connection="close")
REQUESTS = {
    "a call": call(),
    "one with text beyond ASCII": call("DescribeClusters", json.dumps({"clusters": ["ü" * 9]}).encode()),
    "an error": call("Nothing"),
    "no header but the length": b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    "a form": call("", b"Action=GetCallerIdentity&Version=2011-06-15", X_Amz_Target=None),
    "a name that is no UTF-8": call().replace(b"Host:", b"X-\xfc: \xfc\r\nHost:"),
    "the longest body": call(body=b"{}".ljust(MAX_BODY)),
    "one that is too long": call(body=b"{}".ljust(MAX_BODY + 1)),
    "a head that is too long": call(X_Filler="x" * SMALL),
    "chunks": call(body=b"2\r\n{}\r\n0\r\n\r\n", Transfer_Encoding="chunked", Content_Length=None),
    "leave to send": call(Expect="100-continue"),
    "an upgrade to what is not there": call(Connection="Upgrade", Upgrade="h2c"),
    "an older version": call().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "another method": b"GET /?Action=GetCallerIdentity&Version=2011-06-15 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no body": b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "another path": call().replace(b"POST / ", b"POST /nowhere "),
    "a query": call().replace(b"POST / ", b"POST /?a=b "),
    "no length": call(Content_Length=None),
    "two lengths": call().replace(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 3"),
    "a wrong length": call(Content_Length="+2"),
    "a length and chunks": call(Transfer_Encoding="chunked"),
    "a bare line feed": call().replace(b"\r\nHost", b"\nHost"),
    "an empty line first": b"\r\n" + call(),
    "nonsense": b"POST / HTTP/1.1\r\n:::\r\n\r\n",
    "a folded header": call(X_Folded="a\r\n b"),
    "a farewell": LAST,
}
SHORT = {"a call", "one with text beyond ASCII", "an error", "no header but the length", "a form"}
SHORT |= {"the longest body", "a farewell"}
"""What goes the short way."""


class Connection(asyncio.Transport):
    """A transport that keeps what is written; its owner feeds it."""

    def __init__(self):
        super().__init__({"peername": ("127.0.0.1", 5), "sockname": ("127.0.0.1", 4566)})
        self.written, self.closed, self.reading = b"", False, True
        self.gone = asyncio.Event()

    def write(self, data):
        if not self.closed:
            self.written += data

    def close(self):
        self.closed = True
        self.gone.set()

    def is_closing(self):
        return self.closed

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True

    def set_protocol(self, protocol):
        self.protocol = protocol

    def get_protocol(self):
        return self.protocol

    async def feed(self, *pieces):
        """Let pieces come in while the server reads, and everything run that can."""
        for piece in pieces:
            for _ in range(50):
                await asyncio.sleep(0)
            if self.closed or not self.reading:
                break
            self.protocol.data_received(piece)
        for _ in range(200):
            await asyncio.sleep(0)
        return self.written


class Place:
    """A gateway, and the connections that uvicorn has."""

    def __init__(self, handler=None, *, keep_alive=5):
        async def list_clusters(_call):
            return {"clusterArns": ["arn:a"]}

        async def get_caller_identity(_call):
            return {"Account": "123456789012", "Arn": "arn:b", "UserId": "b"}

        async def describe_clusters(call):
            return {"failures": [{"arn": name} for name in call.params["clusters"]]}

        async def start_live_tail(_call):
            async def events():
                yield {"sessionStart": {"sessionId": "s"}}

            return {"responseStream": events()}

        self.gateway = Gateway(
            services={
                "ecs": {"ListClusters": handler or list_clusters, "DescribeClusters": describe_clusters},
                "sts": {"GetCallerIdentity": get_caller_identity},
                "logs": {"StartLiveTail": start_live_tail},
            },
            region="eu-west-1",
            account_id="123456789012",
            trust=Trust(listen="localhost"),
            clock=lambda: 0.0,
            entropy=bytes,
            max_body=MAX_BODY,
        )
        self.config = Config(self.gateway, loop="none", lifespan="off", log_config=None, timeout_keep_alive=keep_alive)
        self.config.load()
        self.state = ServerState()
        self.state.default_headers = [DATE]

    def connect(self, *, short=True):
        given = {"config": self.config, "server_state": self.state, "app_state": {}}
        connection = Connection()
        connection.protocol = CallProtocol(self.gateway, **given) if short else HttpToolsProtocol(**given)
        connection.protocol.connection_made(connection)
        return connection


async def both_ways(pieces):
    """What is answered, and whether the connection is closed then, by the short way and by uvicorn's."""
    connections = [Place().connect(short=short) for short in (True, False)]
    return [(await connection.feed(*pieces), connection.closed) for connection in connections]


@pytest.mark.parametrize("name", REQUESTS)
def test_every_request_is_answered_as_uvicorn_answers_it(name):
    ours, oracle = asyncio.run(both_ways([REQUESTS[name] + LAST]))
    assert ours == oracle
    assert ours[0], "nothing would be the same as nothing"


@given(
    names=st.lists(st.sampled_from(sorted(REQUESTS)), min_size=1, max_size=4),
    cuts=st.lists(st.floats(0, 1, exclude_max=True), max_size=6),
)
def test_requests_in_any_pieces_are_answered_as_uvicorn_answers_them(names, cuts):
    sent = b"".join(REQUESTS[name] for name in names)
    places = {int(cut * len(sent)) for cut in cuts}
    if not SHORT.issuperset(names):
        # What is malformed uvicorn refuses before it has answered the calls that came with it.
        places |= {len(b"".join(REQUESTS[name] for name in names[:number])) for number in range(len(names))}
    places = sorted(places - {0})
    pieces = [sent[start:end] for start, end in zip([0, *places], [*places, len(sent)], strict=True)]
    ours, oracle = asyncio.run(both_ways(pieces))
    assert ours == oracle


def test_a_call_goes_the_short_way_and_what_is_none_does_not():
    async def protocol_after(sent):
        connection = Place().connect()
        await connection.feed(sent)
        return type(connection.protocol)

    ways = {name: asyncio.run(protocol_after(sent)) for name, sent in REQUESTS.items()}
    assert {name for name, way in ways.items() if way is CallProtocol} == SHORT


def test_an_answer_that_goes_on_is_left_to_uvicorn():
    async def tail():
        connection = Place().connect()
        return await connection.feed(call("StartLiveTail", b'{"logGroupIdentifiers": ["g"]}', "logs"))

    assert b"transfer-encoding: chunked" in asyncio.run(tail())


def test_calls_beyond_what_fits_wait_unread_for_their_turn():
    async def flood():
        let_go = asyncio.Event()

        async def list_clusters(_call):
            await let_go.wait()
            return {"clusterArns": []}

        connection = Place(list_clusters).connect()
        many = call() * (2 * SMALL // len(call()) + 2)
        await connection.feed(many[:-1], many[-1:])
        paused = connection.reading
        let_go.set()
        for _ in range(20):
            await connection.feed()
        return paused, connection.reading, connection.written.count(b"HTTP/1.1 200"), many.count(b"POST")

    reading, again, answered, asked = asyncio.run(flood())
    assert (reading, again) == (False, True)
    assert answered == asked


def test_who_does_not_read_the_answers_is_asked_nothing_more():
    async def stubborn():
        connection = Place().connect()
        connection.protocol.pause_writing()
        await connection.feed(call() + call())
        before = connection.written.count(b"HTTP/1.1 200")
        connection.protocol.resume_writing()
        await connection.feed()
        return before, connection.written.count(b"HTTP/1.1 200")

    assert asyncio.run(stubborn()) == (1, 2)


@pytest.mark.parametrize("end", ["leaves", "is told to end"])
def test_nothing_follows_once_a_connection_ends_whose_answer_was_not_read(end):
    async def stubborn():
        place = Place()
        connection = place.connect()
        connection.protocol.pause_writing()
        await connection.feed(call() + call())
        if end == "leaves":
            connection.closed = True
            connection.protocol.connection_lost(None)
        else:
            connection.protocol.shutdown()
            connection.protocol.resume_writing()
        await connection.feed()
        return connection.written.count(b"HTTP/1.1 200"), connection.closed, place.state.tasks

    assert asyncio.run(stubborn()) == (1, True, set())


def test_a_connection_rests_for_a_while_and_is_closed_then():
    async def rest():
        place = Place(keep_alive=0.05)
        silent, talking = place.connect(), place.connect()
        await silent.feed(call())
        await talking.feed(call(), call()[:-1])
        async with asyncio.timeout(20):
            await silent.gone.wait()
        return talking.closed, (await talking.feed(call()[-1:])).count(b"HTTP/1.1 200")

    assert asyncio.run(rest()) == (False, 2), "a call of which some has come is waited for"


def test_one_timer_lets_a_busy_connection_live():
    async def work():
        connection = Place(keep_alive=0.1).connect()
        end = asyncio.get_running_loop().time() + 0.35
        while asyncio.get_running_loop().time() < end:
            await connection.feed(call())
            assert not connection.closed
        async with asyncio.timeout(20):
            await connection.gone.wait()

    asyncio.run(work())


@pytest.mark.parametrize("busy", [False, True])
def test_the_end_of_the_server_closes_a_connection_when_its_call_is_answered(busy):
    async def end():
        let_go = asyncio.Event()

        async def list_clusters(_call):
            await let_go.wait()
            return {"clusterArns": []}

        place = Place(list_clusters)
        connection = place.connect()
        if busy:
            await connection.feed(call())
        for each in list(place.state.connections):
            each.shutdown()
        closed_at_once = connection.closed
        let_go.set()
        return closed_at_once, await connection.feed(), connection.closed

    closed_at_once, written, closed = asyncio.run(end())
    assert (closed_at_once, closed) == (not busy, True)
    assert (b"connection: close" in written) == busy


def test_a_client_that_leaves_does_not_stop_its_call_and_nothing_is_left_of_it():
    async def leave():
        let_go, done = asyncio.Event(), []

        async def list_clusters(_call):
            await let_go.wait()
            done.append(True)
            return {"clusterArns": []}

        place = Place(list_clusters)
        connection = place.connect()
        await connection.feed(call())
        connection.closed = True
        connection.protocol.connection_lost(None)
        let_go.set()
        return await connection.feed(), done, place.state.connections, place.state.tasks

    assert asyncio.run(leave()) == (b"", [True], set(), set())


def test_a_connection_belongs_to_one_protocol_at_a_time():
    async def hand_over():
        place = Place()
        connection = place.connect()
        await connection.feed(call(), REQUESTS["another method"])
        return [type(each) for each in place.state.connections]

    assert asyncio.run(hand_over()) == [HttpToolsProtocol]


def test_a_header_cannot_begin_another():
    for header in (("x-a", "b\r\nx-c: d"), ("x-a", "b\nx-c: d"), ("x-a\r", "b")):
        with pytest.raises(ValueError, match="line break"):
            write_answer(Response(status=200, headers=(header,), body=b""), [DATE], keeps_alive=True)


def test_a_call_is_read_as_it_was_sent():
    sent = call(body=b'{"a": 1}', X_Twice="1") + call()
    read = read_call(sent, "192.0.2.1")
    assert read.size == len(call(body=b'{"a": 1}', X_Twice="1"))
    assert (read.request.body, read.request.client, read.request.path) == (b'{"a": 1}', "192.0.2.1", "/")
    assert read.request.header("x-twice") == "1"
    assert read.keeps_alive


@pytest.mark.parametrize("size", [1, 5, 20, len(call()) - 3, len(call()) - 1])
def test_the_beginning_of_a_call_is_waited_for(size):
    wanted = read_call(call()[:size], "")
    assert size < wanted <= len(call())


def test_a_head_is_read_once_however_slowly_the_body_comes(monkeypatch):
    async def trickle():
        connection = Place().connect()
        sent = call("DescribeClusters", b'{"clusters": ["a"]}')
        head = len(sent) - 19
        await connection.feed(sent[:head])
        return await connection.feed(*(sent[at : at + 1] for at in range(head, len(sent))))

    read = []
    monkeypatch.setattr(calls, "read_call", lambda *a, **k: (read.append(a), read_call(*a, **k))[1])
    assert b"200 OK" in asyncio.run(trickle())
    assert len(read) == 2


def test_a_head_without_an_end_is_not_waited_for():
    with pytest.raises(NotACallError):
        read_call(call()[:-4].ljust(SMALL, b"x"), "")
