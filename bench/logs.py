"""How fast log events are taken in and found again, and how much room they take.

    python -m bench.logs [EVENTS]

The database is filled with so many events (ten million) before they are looked for; then a server is started over it.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from rich.console import Console
from tests.e2e.lab import Wherry, a_wherry

from bench.table import Row, rendered
from wherry.model.logs.chunk import Event, pack
from wherry.model.logs.nouns import LogGroup, LogStream, stream_key
from wherry.store.logs import LogStore, LogTx

EVENTS = 10_000_000
STREAMS = 10
BATCH = 1000
"""Events a call: about 120 KB, as an agent sends that has something to say."""
HOURS = 24
SECONDS = 10
CONNECTIONS = 4
GROUP = "/bench"


def measure(rounds: int, say: Callable[[str], None], *, home: Path, events: int = EVENTS) -> list[Row]:
    """Fill a database, start a server over it, and ask it."""
    with a_wherry(home / "logs") as wherry:
        wherry.data.mkdir(parents=True, exist_ok=True)
        database = wherry.data / "logs.db"
        say(f"writing {events:,} log events")
        raw = anyio.run(_fill, database, events)
        size = database.stat().st_size
        wherry.server()
        first, last_hour, found = [], [], []
        for number in range(1, rounds + 1):
            say(f"reading logs, round {number} of {rounds}")
            first.append(_milliseconds(wherry, "GetLogEvents", logStreamName="s1"))
            hour = {"startTime": int(time.time() * 1000) - 3_600_000, "limit": 100}
            last_hour.append(_milliseconds(wherry, "FilterLogEvents", **hour))
            found.append(_milliseconds(wherry, "FilterLogEvents", **hour, filterPattern="ERROR -timeout"))
        say(f"writing logs for {rounds} times {SECONDS} s")
        rates = [_rate(wherry) for _ in range(rounds)]
    reads = partial(Row, unit="ms", limits={"absolute": 20})
    return [
        Row(
            measure=f"PutLogEvents over HTTP, {BATCH:,} events a call, on the disk",
            unit="events/s",
            ours=rates,
            limits={"absolute": 20_000},
            better="more",
        ),
        reads(measure=f"GetLogEvents, first page of 1 MB, of {events:,} events", ours=first),
        reads(measure="FilterLogEvents, the last hour, 100 events", ours=last_hour, limits={"absolute": 50}),
        reads(measure="the same with a pattern that 1 % match", ours=found, limits={"absolute": 100}),
        Row(measure="log database, compared with the raw text", unit="", ours=[size / raw], limits={"absolute": 1.5}),
    ]


def lines(chance: random.Random) -> Iterator[str]:
    """Make lines as servers write them, no two alike: two thirds of an access log, one third JSON."""
    number = 0
    while True:
        number += 1
        if number % 3:
            address = f"10.0.{chance.randrange(256)}.{chance.randrange(256)}"
            request = f'"GET /api/v1/items/{chance.randrange(10**6)} HTTP/1.1" {chance.choice((200, 200, 304, 404))}'
            agent = f'"-" "Mozilla/5.0 (X11; Linux)" {chance.random():.4f}'
            yield f"{address} - - {request} {chance.randrange(10**4)} {agent}"
        else:
            level = "ERROR" if number % 100 < 3 else "INFO"
            span = f"{chance.getrandbits(64):016x}"
            yield json.dumps({"level": level, "span": span, "msg": "handled", "ms": chance.randrange(1000)})


async def _fill(database: Path, events: int) -> int:
    """Write events evenly over the last hours into some streams; return how many bytes of text they are."""
    text, raw = lines(random.Random(1)), 0
    now = int(time.time() * 1000)
    async with LogStore.open(f"sqlite:///{database}") as logs:
        streams = await logs.write(_streams)
        for start in range(0, events, BATCH):
            stream = start // BATCH % STREAMS
            batch = [
                Event(now - (events - start - n) * HOURS * 3_600_000 // events, n, now, next(text))
                for n in range(min(BATCH, events - start))
            ]
            raw += sum(len(event.message) + 1 for event in batch)
            streams[stream] = await logs.write(LogTx.append, streams[stream], pack(batch))
    return raw


def _streams(tx: LogTx) -> list[LogStream]:
    group = tx.put(LogGroup(log_group_name=GROUP, id=tx.new_id(), creation_time=0))
    names = [f"s{number}" for number in range(STREAMS)]
    return [
        tx.put(
            LogStream(
                key=stream_key(group.id, name),
                log_stream_name=name,
                log_group_id=group.id,
                id=tx.new_id(),
                creation_time=0,
            )
        )
        for name in names
    ]


def _milliseconds(wherry: Wherry, operation: str, **params: Any) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", wherry.port)
    body = json.dumps({"logGroupName": GROUP, **params})
    began = time.perf_counter()
    answer = _post(connection, operation, body)
    taken = (time.perf_counter() - began) * 1000
    if not json.loads(answer)["events"]:
        raise RuntimeError(f"{operation} found nothing")
    connection.close()
    return taken


def _rate(wherry: Wherry) -> float:
    """Put batches from some connections at once; return the events that were acknowledged in a second."""
    text = lines(random.Random(2))
    now = int(time.time() * 1000)
    bodies = [
        json.dumps(
            {
                "logGroupName": GROUP,
                "logStreamName": f"s{number}",
                "logEvents": [{"timestamp": now, "message": next(text)} for _ in range(BATCH)],
            }
        )
        for number in range(CONNECTIONS)
    ]
    calls: list[int] = []
    until = time.perf_counter() + SECONDS

    def put(body: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", wherry.port)
        while time.perf_counter() < until:
            _post(connection, "PutLogEvents", body)
            calls.append(1)
        connection.close()

    threads = [threading.Thread(target=put, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(calls) * BATCH / SECONDS


def _post(connection: http.client.HTTPConnection, operation: str, body: str) -> bytes:
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"Logs_20140328.{operation}"}
    connection.request("POST", "/", body=body.encode(), headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{operation}: {content[:500]!r}")
    return content


def main() -> None:
    """Measure this alone."""
    console = Console()
    events = int(sys.argv[1]) if sys.argv[1:] else EVENTS
    with tempfile.TemporaryDirectory(prefix="wherry-bench-") as folder, console.status("starting") as status:
        console.print(rendered(measure(3, status.update, home=Path(folder), events=events)))


if __name__ == "__main__":
    main()
