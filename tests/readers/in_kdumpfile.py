# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs in the Python that has kdumpfile: arguments DUMP [ADDRESS]; prints the attributes, and the bytes at that virtual address, as JSON.

Knows both interfaces: the module of libkdumpfile up to 0.5.4, and pykdumpfile since 0.5.5.
"""
import json
import sys

import kdumpfile

out = {}
try:
    if hasattr(kdumpfile, "Context"):
        context = kdumpfile.Context()
        file = open(sys.argv[1], "rb")
        context.open_fd(file.fileno())
        attributes, virtual = context.attr, kdumpfile.KVADDR
    else:
        context = kdumpfile.kdumpfile(sys.argv[1])
        attributes, virtual = context.attr, kdumpfile.KDUMP_KVADDR

    def get(name):
        try:
            value = attributes[name]
        except Exception as error:
            return None if type(error).__name__ in ("KeyError", "NoKeyError", "NoDataError") else f"{type(error).__name__}: {error}"
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value if isinstance(value, (int, str)) else "present"

    for name in ("file.format", "arch.name", "linux.uts.release", "linux.uts.machine", "linux.phys_base", "cpu.number", "linux.vmcoreinfo.raw"):
        out[name] = get(name)
    if len(sys.argv) > 2:
        try:
            attributes["addrxlat.ostype"] = "linux"
            out["bytes"] = bytes(context.read(virtual, int(sys.argv[2], 0), 80)).hex()
        except Exception as error:
            out["read_error"] = f"{type(error).__name__}: {error}"
except Exception as error:
    out["error"] = f"{type(error).__name__}: {error}"
print(json.dumps(out))
