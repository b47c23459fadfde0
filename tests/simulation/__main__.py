"""``python -m tests.simulation --refreshes N --seed S``: play seeded worlds with the real middleware."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from statistics import median

from tests.simulation.worlds import kept_seeds, mutants_found, play, results


def report(found: Iterable, refreshes: int, options: argparse.Namespace) -> int:
    """Print the results of the worlds, and return the exit status."""
    started, total, steps, requests, worlds, days = time.monotonic(), 0, 0, 0, 0, 0.0
    failed, signed_out, served, beyond = [], 0, [], 0
    for result in found:
        worlds, total, steps, requests = (
            worlds + 1,
            total + result.refreshes,
            steps + result.steps,
            requests + result.requests,
        )
        days += result.seconds / 86_400
        served += result.thief_served
        signed_out += sum(one.startswith("signed_out") for one in result.wrong)
        beyond += sum(one.startswith("thief_is_served") for one in result.wrong)
        if result.wrong:
            failed.append(result.seed)
            print(f"seed {result.seed}: {result.wrong[0]}", flush=True)
            late = "" if options.late is None else f" --late {options.late}"
            print(f"    again: python -m tests.simulation --only {result.seed} --trace{late}", flush=True)
        if total >= refreshes or len(failed) >= options.failures:
            break
    took = time.monotonic() - started
    print(
        f"{worlds:,} worlds from seed {options.seed}, {days:,.0f} days: {requests:,} requests in {steps:,} steps, "
        f"{total:,} refreshes, {total / took:,.0f} a second"
    )
    print(f"{signed_out} honest users signed out; {len(failed)} worlds failed")
    if served:
        print(
            f"{len(served)} thefts: the thief was served for {median(served):,.0f} s in the median, "
            f"{max(served):,} s at most; {beyond} beyond the bound"
        )
    return 1 if failed else 0


def report_mutants(names: list[str]) -> int:
    """Print which world found each mutant, and return the exit status."""
    survived = 0
    for name, found in mutants_found(names):
        survived += found is None
        print(f"{name}: {'SURVIVED' if found is None else f'seed {found.seed}: {found.wrong[0][:100]}'}", flush=True)
    return 1 if survived else 0


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--refreshes", type=int, default=10_000, help="stop after this many refreshes")
    parser.add_argument("--seed", type=int, default=1, help="the first world's seed; the next ones follow")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--failures", type=int, default=5, help="stop after this many failed worlds")
    parser.add_argument("--only", type=int, help="play only the world of this seed")
    parser.add_argument("--trace", action="store_true", help="print each request")
    parser.add_argument(
        "--late", type=int, help="the most milliseconds by which an answer is late, beyond the safe limit"
    )
    parser.add_argument("--kept", action="store_true", help="play the worlds that failed before: seeds.txt")
    parser.add_argument("--mutants", nargs="*", help="put all or these defects into jwtauth, which must be found")
    options = parser.parse_args()
    if options.mutants is not None:
        return report_mutants(options.mutants)
    if options.kept:
        return report(map(play, kept_seeds()), sys.maxsize, options)
    if options.only is not None:
        result = play(options.only, options.late, options.trace)
        print(result)
        return 1 if result.wrong else 0
    return report(results(options.seed, options.processes, options.late), options.refreshes, options)


if __name__ == "__main__":
    sys.exit(main())
