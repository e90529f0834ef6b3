# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs in the Python that has drgn: arguments DUMP [VMLINUX]; prints what drgn found in the dump as one line of JSON."""
import json
import sys

import drgn

out = {"version": drgn.__version__}
try:
    prog = drgn.Program()
    prog.set_core_dump(sys.argv[1])
    out["linux"] = bool(prog.flags & drgn.ProgramFlags.IS_LINUX_KERNEL)
    if out["linux"]:
        out["release"] = prog["UTS_RELEASE"].string_().decode()
    if len(sys.argv) > 2:
        from drgn.helpers.linux.cpumask import for_each_online_cpu
        from drgn.helpers.linux.pid import for_each_task
        from drgn.helpers.linux.printk import get_dmesg
        from drgn.helpers.linux.sched import cpu_curr

        prog.load_debug_info([sys.argv[2]])
        out["release"] = prog["init_uts_ns"].name.release.string_().decode()
        tasks = list(for_each_task(prog))
        out["tasks"] = len(tasks)
        out["first"] = [task.comm.string_().decode() for task in tasks if task.pid == 1]
        out["stacks"] = []
        for cpu in for_each_online_cpu(prog):
            try:
                trace = prog.stack_trace(cpu_curr(prog, cpu))
                out["stacks"].append({"cpu": cpu, "frames": len(trace), "pc": trace[0].pc if len(trace) else None, "top": trace[0].name if len(trace) else None})
            except Exception as error:
                out["stacks"].append({"cpu": cpu, "frames": 0, "why": f"{type(error).__name__}: {error}"})
        try:
            out["log"] = get_dmesg(prog).decode("utf-8", "replace")
        except Exception as error:
            out["log_error"] = f"{type(error).__name__}: {error}"
    try:
        out["crashed"] = prog.crashed_thread().tid
    except Exception as error:
        out["crashed_error"] = f"{type(error).__name__}: {error}"
except Exception as error:
    out["error"] = f"{type(error).__name__}: {error}"
print(json.dumps(out))
