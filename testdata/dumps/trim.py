#!/usr/bin/env python3
"""Cuts a -dump-vmstate file to the classes that the streams in testdata/ have something of.

usage: trim.py SAVEVM-ANALYZE DUMP STREAM... > ARCH-VERSION.json"""
import json, subprocess, sys

tool, dump, streams = sys.argv[1], sys.argv[2], sys.argv[3:]
wanted = set()
for s in streams:
    description = json.loads(subprocess.run([tool, "-d", "desc", "-f", s], capture_output=True, check=True).stdout)
    wanted |= {d.get("vmsd_name") for d in description["devices"]}
with open(dump) as f:
    classes = json.load(f)
keep = {k: v for k, v in classes.items() if k == "vmschkmachine" or v.get("Description", {}).get("name") in wanted}
# many processor models have one vmsd: the first of them is enough
seen, out = set(), {}
for k, v in keep.items():
    text = json.dumps(v.get("Description"))
    if k == "vmschkmachine" or text not in seen:
        seen.add(text)
        out[k] = v
json.dump(out, sys.stdout, indent=2)
print()
