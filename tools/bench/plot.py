# SPDX-License-Identifier: Apache-2.0
"""The ratios of a run as a picture, by gnuplot."""

import os
import shutil
import subprocess
import sys

COLOURS = {"ext4": "#1f5fa8", "fuse": "#c05a1a"}
SCRIPT = """
set terminal svg size 1100,{height} font 'sans,11' background '#ffffff'
set output '{picture}'
set title '{title}'
set logscale x 2
set xrange [0.0625:64] noextend
set xtics ('1/16' 0.0625, '1/8' 0.125, '1/4' 0.25, '1/2' 0.5, '1' 1, '2' 2, '4' 4, '8' 8, '16' 16, '32' 32, '64' 64)
set yrange [{rows}:-1]
set ytics ({names})
set grid x
set arrow from 1,-1 to 1,{rows} nohead lw 2 lc rgb '#444444'
set key outside bottom center horizontal
set lmargin 30
plot {plots}
"""


def draw(document, picture):
    """A dot for each line and place at the ratio, with its spread; False without gnuplot."""
    if not shutil.which("gnuplot"):
        print("tools/bench/run: no gnuplot, no picture", file=sys.stderr)
        return False
    lines, environment = list(document["lines"]), document["environment"]
    if not lines:
        return False
    base = os.path.splitext(picture)[0]
    plots = []
    for shift, (place, colour) in zip((-0.18, 0.18), COLOURS.items()):
        with open(f"{base}-{place}.dat", "w") as data:
            for row, line in enumerate(lines):
                ratio = document["lines"][line]["ratio"].get(place, {}).get("settled")
                if ratio:
                    low, mid, high = (min(max(ratio[k], 0.0625), 64) for k in ("min", "median", "max"))
                    data.write(f"{mid} {row + shift} {low} {high}\n")
        if os.path.getsize(f"{base}-{place}.dat"):
            plots.append(f"'{base}-{place}.dat' using 1:2:3:4 with xerrorbars pt 7 ps 0.5 lc rgb '{colour}' "
                         f"title 'to {place}'")
    if not plots:
        return False
    names = ", ".join(f"'{line}' {row}" for row, line in enumerate(lines))
    title = f"Speed of nexusfs as a multiple of that of others (settled; median and spread of {environment['rounds_done']} rounds)"
    script = SCRIPT.format(height=90 + 16 * len(lines), picture=picture, title=title, rows=len(lines), names=names,
                           plots=", ".join(plots))
    return subprocess.run(["gnuplot"], input=script, text=True, check=False).returncode == 0
