"""Which ranges of addresses the Wherrys of one host take."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wherry.agent.sandbox import ranges, routes

CIDR = "10.40.0.0/16"


def homes(place: Path, count: int) -> list[Path]:
    made = [place / f"home-{number}" for number in range(count)]
    for home in made:
        home.mkdir()
    return made


def test_a_range_has_one_holder_while_its_directory_is_there(tmp_path: Path) -> None:
    notes = tmp_path / "run" / "vpc"
    one, two = homes(tmp_path, 2)

    assert ranges.note(CIDR, one, notes=notes)
    assert ranges.note(CIDR, one, notes=notes)
    assert not ranges.note(CIDR, two, notes=notes)

    one.rmdir()
    assert ranges.note(CIDR, two, notes=notes)
    assert [path.name for path in notes.iterdir()] == ["10.40.0.0_16"]


def test_of_many_at_once_one_gets_the_range(tmp_path: Path) -> None:
    notes = tmp_path / "vpc"
    with ThreadPoolExecutor(8) as pool:
        for number in range(20):
            cidr = f"10.{number}.0.0/16"
            got = list(
                pool.map(lambda home, cidr=cidr: ranges.note(cidr, home, notes=notes), homes_of(tmp_path, number))
            )
            assert got.count(True) == 1


def homes_of(place: Path, number: int) -> list[Path]:
    round_of = place / f"round-{number}"
    round_of.mkdir()
    return homes(round_of, 8)


def test_two_that_look_for_a_free_range_do_not_meet(tmp_path: Path) -> None:
    notes = tmp_path / "vpc"
    one, two = homes(tmp_path, 2)

    assert ranges.free_range(one, notes=notes) != ranges.free_range(two, notes=notes)


def test_what_the_host_routes_is_not_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
    routed = [
        ("eth0", "00000000", "00000000"),
        ("docker0", "00001FAC", "0000FFFF"),  # 172.31.0.0/16
        ("*", "00801F0A", "00C0FFFF"),  # 10.31.128.0/18, unreachable
        ("whr1", "0700200A", "FFFFFFFF"),  # 10.32.0.7/32
    ]
    table = tmp_path / "route"
    table.write_text(
        head + "".join(f"{device}\t{to}\t0\t0001\t0\t0\t0\t{mask}\t0\t0\t0\n" for device, to, mask in routed)
    )
    monkeypatch.setattr(routes, "FILE", table)

    assert ranges.free_range(tmp_path, notes=tmp_path / "vpc") == "10.33.0.0/16"
