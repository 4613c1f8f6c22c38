# SPDX-License-Identifier: Apache-2.0
"""What an ipc.json of tools/bench/run ipc has to have, for tests/bench.py.

Lines and means are written down here a second time, so that one that is lost is missed.
"""

import itertools

MANY = ("fifo", "fifo-nexusfs", "pipe", "dgram", "seqpacket", "mqueue", "ring")
ONE = ("eventfd", "shared")


def expected():
    """Every line by every means that can do it."""
    for size, how in itertools.product(("64", "1k", "64k"), ("", "-4to1", "-4to4", "-1cpu")):
        yield from ((f"rate-{size}{how}", means) for means in (*MANY, "ring-batch"))
        if not how.startswith("-4"):
            yield from ((f"rate-{size}{how}", means) for means in ONE)
    yield from (("rate-64k-1m", means) for means in (*MANY, *ONE, "ring-batch"))
    for line in "pingpong-1cpu", "pingpong-2cpu":
        yield from ((line, means) for means in (*MANY, *ONE))


def held():
    """What has a target."""
    for size, how in itertools.product(("64", "1k", "64k"), ("", "-4to1", "-4to4", "-1cpu")):
        yield f"rate-{size}{how}", "ring"
        if size == "64":
            yield f"rate-{size}{how}", "ring-batch"
    yield from (("rate-64k-1m", "ring"), ("pingpong-1cpu", "ring"), ("pingpong-2cpu", "ring"))


def problems(document):
    """One text for each thing that is missing."""
    lines, wanted = document["lines"], list(expected())
    for line, means in wanted:
        values = lines.get(line, {"means": {}})["means"].get(means, {"ns": [], "failed": []})
        if values["failed"]:
            yield f"{line} by {means}: {values['failed'][0]}"
        elif len(values["ns"]) != document["environment"]["rounds"] or not all(ns > 0 for ns in values["ns"]):
            yield f"{line} by {means}: not measured"
        elif means != "fifo" and not values["ratio"]:
            yield f"{line} by {means}: no ratio"
    for line, means in held():
        if means not in lines.get(line, {"targets": {}})["targets"]:
            yield f"{line} by {means}: no target"
    for line, entry in lines.items():
        for means in entry["means"]:
            if (line, means) not in wanted:
                yield f"{line} by {means}: measured, but not known to tests/bench_ipc.py"
    for key in ("kernel", "nexusfs", "commit", "cpus", "accelerator", "rounds", "ms"):
        if key not in document["environment"]:
            yield f"environment: no {key}"
