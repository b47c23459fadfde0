"""Worlds played one after the other, in this process or in several."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.simulation import server

# Refreshes per world.
OF_A_WORLD = 150


def play(seed: int, late_ms: int | None = None, trace: bool = False) -> Any:
    """Play the world of this seed."""
    server.set_up()
    from tests.simulation.world import World  # needs Django

    return World(seed, OF_A_WORLD, late_ms, sys.stdout if trace else None).run()


def _play_all(seeds: list[int], late_ms: int | None) -> list[Any]:
    return [play(seed, late_ms) for seed in seeds]


def results(first: int, processes: int, late_ms: int | None) -> Iterator[Any]:
    """Yield the results of this seed and the following ones, in order."""
    if processes == 1:
        for seed in count(first):
            yield play(seed, late_ms)
    seeds = count(first)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting = []
        while True:
            while len(waiting) < 2 * processes:
                waiting.append(pool.submit(_play_all, list(islice(seeds, 5)), late_ms))
            yield from waiting.pop(0).result()


def kept_seeds() -> list[int]:
    """Return the seeds of worlds that failed before."""
    lines = (Path(__file__).parent / "seeds.txt").read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line[:1].isdigit()]


def mutants_found(names: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield each of these mutants with the first world that finds it, or ``None``."""
    server.set_up()
    from tests.simulation.mutants import FIRST, MUTANTS, WORLDS, defect

    for name in names or MUTANTS:
        seeds = islice(count(FIRST.get(name, 1)), WORLDS)
        with defect(name):
            yield name, next((found for found in map(play, seeds) if found.wrong), None)
