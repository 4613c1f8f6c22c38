#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether a results.json and an ipc.json of tools/bench/run have everything they have to have.

    tests/bench.py RESULTS STATUS IPC STATUS

STATUS is how the run that left it ended.  The lines are written down here a second time, so
that one that is lost is missed.
"""

import itertools
import json
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import bench_ipc  # noqa: E402

PLACES = ("nexusfs", "ext4", "tmpfs", "fuse")


def expected():
    """What must be measured on every place."""
    for name, cold, procs in itertools.product(
            ("create", "stat", "open-read", "negative", "readdir", "rename", "unlink"), ("", "-cold"), ("", "-4p")):
        yield name + cold + procs
    for name, procs in itertools.product(("create-1k", "open-read-1k-cold", "unlink-1k"), ("", "-4p")):
        yield name + procs
    yield from ("stat-shared-cold-4p", "stat-apart-cold")
    for order, size, how, procs in itertools.product(
            ("seq", "rand"), ("4k", "1m"), ("", "-direct", "-mmap"), ("", "-8p")):
        yield f"{order}-read-{size}{how}{procs}"
        for each in "", "-each":
            yield f"{order}-write-{size}{how}{each}{procs}"
        if how != "-direct" and not procs:
            yield f"{order}-read-{size}{how}-warm"
    yield from ("untar", "git-clone", "git-status", "git-status-cold", "make", "sqlite-delete", "sqlite-wal", "rm-rf")


def problems(document):
    """One text for each thing that is missing."""
    names = list(expected())
    for line in names:
        entry = document["lines"].get(line, {"places": {}, "ratio": {}})
        for place in PLACES:
            values = entry["places"].get(place, {})
            if values.get("failed"):
                yield f"{line} on {place}: {values['failed'][0]}"
            elif not all(value > 0 for value in values.get("burst", [])) or not values.get("burst"):
                yield f"{line} on {place}: not measured"
            elif any(settled < burst for burst, settled in zip(values["burst"], values["settled"])):
                yield f"{line} on {place}: settled before it was done"
            elif place != "nexusfs" and not entry["ratio"].get(place, {}).get("settled"):
                yield f"{line} on {place}: no ratio"
    for line in document["lines"].keys() - set(names):
        yield f"{line}: measured, but not known to tests/bench.py"
    for op, what in itertools.product(("read", "write"), ("p50", "p99")):
        if not document.get("compaction", {}).get("ratio", {}).get(f"{op}-{what}", {}).get("median", 0) > 0:
            yield f"compaction: no {op}-{what}"
    for round_ in document.get("compaction", {}).get("rounds", []):
        if round_["said"].startswith("0 packs"):
            yield f"compaction: {round_['said']}"
    for key in ("kernel", "nexusfs", "commit", "cpus", "memory_mib", "accelerator", "rounds", "files", "mib"):
        if key not in document["environment"]:
            yield f"environment: no {key}"


def judge(path, status, find):
    """One text for each thing that is wrong with a run."""
    if status != "0":
        yield f"tools/bench/run: status {status}, {os.path.basename(path)}"
    if not os.path.exists(path):
        yield f"no {os.path.basename(path)}"
        return
    with open(path) as results:
        yield from find(json.load(results))


def main():
    passed = failed = 0
    for what, wrong in (("every line on every filesystem", list(judge(*sys.argv[1:3], problems))),
                        ("every means of passing messages", list(judge(*sys.argv[3:5], bench_ipc.problems)))):
        for text in wrong:
            print("not ok - " + text)
        if not wrong:
            print("ok - " + what)
        passed, failed = passed + (not wrong), failed + len(wrong)
    print(f"PART: {passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


sys.exit(main())
