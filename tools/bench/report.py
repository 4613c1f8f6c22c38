# SPDX-License-Identifier: Apache-2.0
"""From the measured lines to results.json and the table."""

import statistics

# What nexusfs is held to, as parts of ext4's speed: the first entry whose beginning fits
# and whose words all are in the line.  Sequential reads and writes, whatever the size
# and the way; every line is held to FUSE's speed.
TARGETS = ((("stat",), (), ("cold",), 0.95), (("open-read",), (), ("cold",), 0.95), (("readdir",), (), ("cold",), 0.95),
           (("create", "unlink", "rename"), (), (), 1.0),
           (("seq-write", "rand-write"), ("each",), (), 0.7),
           (("seq-read", "seq-write"), (), (), 0.9))
FUSE_TARGET = 1.0
LATENCY_TARGET = 1.5


def target_of(line):
    """The least ratio to ext4, or None."""
    words = line.split("-")
    for beginnings, needed, unwanted, value in TARGETS:
        if line.startswith(beginnings) and all(w in words for w in needed) and not any(w in words for w in unwanted):
            return value
    return None


class Results:
    """Every number of every round."""

    def __init__(self, environment):
        self.environment = environment
        self.lines = {}		# name -> {"group", "places": {place: {"burst": [], "settled": [], "failed": []}}}
        self.compaction = []

    def take(self, group, text):
        """A line of a program; what a person may read while it runs."""
        line, place, *rest = text.split(" ", 4)
        entry = self.lines.setdefault(line, {"group": group, "places": {}})
        values = entry["places"].setdefault(place, {"burst": [], "settled": []})
        if rest[0] == "failed":
            values.setdefault("failed", []).append(" ".join(rest[1:]))
            return f"{line} on {place}: failed: {values['failed'][-1]}"
        units, burst, settled = map(float, rest)
        values["burst"].append(burst / units)
        values["settled"].append(settled / units)
        return f"{line} on {place}: {burst / units / 1000:.1f} us, settled {settled / units / 1000:.1f} us"

    def ratio(self, line, place, kind):
        """Of speeds, nexusfs to @place: median, least and greatest of the rounds' own ratios."""
        places = self.lines[line]["places"]
        # Rounds are pairs: what else the machine did in one met both.
        pairs = [other / ours for ours, other in
                 zip(places.get("nexusfs", {}).get(kind, ()), places.get(place, {}).get(kind, ()))]
        if not pairs:
            return None
        return {"median": statistics.median(pairs), "min": min(pairs), "max": max(pairs)}

    def latency_ratios(self):
        """Of 4 KiB reads and fsynced writes beside a compaction to idle."""
        found = {}
        for op in ("read", "write"):
            for what in ("p50", "p99"):
                pairs = [r["compacting"][op][what] / r["idle"][op][what] for r in self.compaction]
                found[f"{op}-{what}"] = {"median": statistics.median(pairs), "min": min(pairs), "max": max(pairs),
                                         "target": LATENCY_TARGET, "met": statistics.median(pairs) <= LATENCY_TARGET}
        return found

    def as_json(self):
        lines = {}
        for line, entry in self.lines.items():
            others = [place for place in ("ext4", "tmpfs", "fuse") if place in entry["places"]]
            result = {"group": entry["group"], "places": entry["places"], "ratio": {}}
            for place in others:
                result["ratio"][place] = {kind: self.ratio(line, place, kind) for kind in ("burst", "settled")}
            result["targets"] = {}
            for place, least in (("ext4", target_of(line)), ("fuse", FUSE_TARGET)):
                ratio = result["ratio"].get(place, {}).get("settled")
                if least and ratio:
                    result["targets"][place] = {"least": least, "met": ratio["median"] >= least}
            lines[line] = result
        document = {"environment": self.environment, "lines": lines}
        if self.compaction:
            document["compaction"] = {"rounds": self.compaction, "ratio": self.latency_ratios()}
        return document


def table(document):
    """Text: ratios of speed, above 1 nexusfs is faster; ! is a target missed."""
    places = [p for p in ("ext4", "tmpfs", "fuse") if any(p in e["ratio"] for e in document["lines"].values())]
    yield f"{'speed of nexusfs to that of':28}" + "".join(f"{p:>26}" for p in places)
    yield f"{'':28}" + "".join(f"{'settled (min-max) burst':>26}" for _ in places) + "  targets"
    group = None
    for line, entry in document["lines"].items():
        if entry["group"] != group:
            group = entry["group"]
            yield f"-- {group}"
        text = f"{line:28}"
        for place in places:
            ratio = entry["ratio"].get(place, {})
            settled, burst = ratio.get("settled"), ratio.get("burst")
            if settled:
                text += f"{settled['median']:9.2f} ({settled['min']:.2f}-{settled['max']:.2f})".ljust(21) + \
                    f"{burst['median']:5.2f}"
            else:
                text += f"{'-':>26}"
        for place, goal in entry["targets"].items():
            text += f"  {place} {goal['least']}" + ("" if goal["met"] else " !")
        yield text
    if "compaction" in document:
        yield "-- latency beside a compaction, to idle (1.5 at most)"
        for name, ratio in document["compaction"]["ratio"].items():
            yield f"{name:28}{ratio['median']:9.2f} ({ratio['min']:.2f}-{ratio['max']:.2f})" + ("" if ratio["met"] else "  !")
    missed = [f"{line} ({place})" for line, entry in document["lines"].items()
              for place, goal in entry["targets"].items() if not goal["met"]]
    yield f"{len(missed)} targets missed" + (": " + ", ".join(missed) if missed else "")
