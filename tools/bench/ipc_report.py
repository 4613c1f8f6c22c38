# SPDX-License-Identifier: Apache-2.0
"""From the measured lines of messages to ipc.json and the table."""

import statistics

BASE = "fifo"
# Lines that begin so, which means, of whose speed it is held to how much.
TARGETS = (("rate-64k", "ring", BASE, 1.2),
           ("rate-64", "ring", BASE, 1.0),
           ("rate-1k", "ring", BASE, 1.0),
           ("pingpong-", "ring", BASE, 1.0),
           ("rate-64", "ring-batch", BASE, 5.0),
           ("rate-64k", "ring-mapped", "shared", 0.67),
           ("rate-64", "ring-mapped", BASE, 10.0),
           ("rate-1k", "ring-mapped", "shared", 0.67),
           ("pingpong-", "ring-mapped", "shared", 0.67))
# The order of the table.
MEANS = ("fifo", "fifo-nexusfs", "pipe", "dgram", "seqpacket", "mqueue", "eventfd", "shared", "ring", "ring-batch",
         "ring-mapped")


def target_of(line, means):
    """What it is compared to and the least ratio, or None."""
    for beginning, name, base, least in TARGETS:
        # rate-64 is not rate-64k
        if means == name and (line == beginning or line.startswith(beginning.rstrip("-") + "-")):
            return base, least
    return None


class Results:
    """Every number of every round: nanoseconds of a message, or of there and back."""

    def __init__(self, environment):
        self.environment = environment
        self.lines = {}		# name -> {means: {"ns": [], "failed": []}}

    def take(self, text):
        """A line of the program; what a person may read while it runs."""
        line, means, *rest = text.split(" ", 4)
        values = self.lines.setdefault(line, {}).setdefault(means, {"ns": [], "failed": []})
        if rest[0] == "failed":
            values["failed"].append(" ".join(rest[1:]))
            return f"{line} by {means}: failed: {values['failed'][-1]}"
        count, took, _ = map(float, rest)
        values["ns"].append(took / count)
        return f"{line} by {means}: {took / count / 1000:.2f} us ({count:.0f} in {took / 1e6:.0f} ms)"

    def ratio(self, line, means, base):
        """Of speeds, @means to @base: median, least and greatest of the rounds' own ratios."""
        entry = self.lines[line]
        if base not in entry or entry[base]["failed"] or entry[means]["failed"]:
            return None
        # Rounds are pairs: what else the machine did in one met both.
        pairs = [theirs / ours for ours, theirs in zip(entry[means]["ns"], entry[base]["ns"])]
        return {"median": statistics.median(pairs), "min": min(pairs), "max": max(pairs)}

    def as_json(self):
        lines = {}
        for line, entry in self.lines.items():
            lines[line] = {"means": {}, "targets": {}}
            for means, values in entry.items():
                lines[line]["means"][means] = {**values, "ratio": self.ratio(line, means, BASE)}
                goal = target_of(line, means)
                ratio = goal and self.ratio(line, means, goal[0])
                if ratio:
                    lines[line]["targets"][means] = {"to": goal[0], "least": goal[1], **ratio,
                                                     "met": ratio["median"] >= goal[1]}
        return {"environment": self.environment, "lines": lines}


def table(document):
    """Text: ratios of speed, above 1 it is faster than the FIFO; ! is a target missed."""
    yield f"{'line':16}{'means':14}{'us':>10}{'a second':>12}   to fifo (min-max)"
    missed = []
    for line, entry in document["lines"].items():
        for means in sorted(entry["means"], key=MEANS.index):
            values = entry["means"][means]
            if values["failed"]:
                yield f"{line:16}{means:14}{'-':>10}   {values['failed'][0]}"
                continue
            mid, ratio = statistics.median(values["ns"]), values["ratio"]
            text = f"{line:16}{means:14}{mid / 1000:10.2f}{1e9 / mid:12.0f}"
            if ratio:
                text += f"{ratio['median']:8.2f} ({ratio['min']:.2f}-{ratio['max']:.2f})".ljust(24)
            goal = entry["targets"].get(means)
            if goal:
                text += f"  {goal['to']} {goal['least']}" + ("" if goal["met"] else " !")
                if not goal["met"]:
                    missed.append(f"{line} ({means})")
            yield text
    yield f"{len(missed)} targets missed" + (": " + ", ".join(missed) if missed else "")
