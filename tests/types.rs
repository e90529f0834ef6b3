//! `linux type`, `linux print` and `symbols`: a kernel in memory, of which each type and value is known.

#![cfg(feature = "cli")]

#[path = "../src/os/linux/btf/made.rs"]
mod btf;
mod common;
#[path = "common/symbols.rs"]
#[allow(dead_code, reason = "other tests use its symbols")]
mod made;
#[path = "common/types.rs"]
mod typed;

use std::path::{Path, PathBuf};

use serde_json::Value;

fn state(name: &str) -> PathBuf {
    let path = common::scratch(name).join("guest.mig");
    std::fs::write(&path, typed::stream()).unwrap();
    path
}

fn run(arguments: &[&str], file: &Path, rest: &[&str]) -> (i32, String, String) {
    let command = &mut common::savevm_analyze();
    let out = command.args(arguments).arg(file).args(rest).env("COLUMNS", "80").output().unwrap();
    let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

#[test]
fn types_are_printed_in_c() {
    let file = state("types-in-c");
    let (status, out, said) = run(&["linux", "type"], &file, &["-q", "task_struct", "pid_t", "do_one", "state"]);
    let expected = "\
struct task_struct {
    enum state state;            /*    0x0      4 */
    unsigned int a:3;            /*  0x4:0     3b */
    int b:5;                     /*  0x4:3     5b */
    /* hole of 3 bytes */        /*    0x5      3 */
    char comm[16];               /*    0x8     16 */
    struct list_head tasks;      /*   0x18     16 */
    pid_t pid;                   /*   0x28      4 */
    _Bool ok;                    /*   0x2c      1 */
    /* hole of 3 bytes */        /*   0x2d      3 */
    struct task_struct *parent;  /*   0x30      8 */
    int (*run)(pid_t what);      /*   0x38      8 */
    unsigned int counts[4];      /*   0x40     16 */
    union {
        long unsigned int whole; /*   0x50      8 */
        unsigned int counted;    /*   0x50      4 */
    };                           /*   0x50      8 */
    char *title;                 /*   0x58      8 */

    /* size: 96 (0x60), members: 13, holes: 2 (6 bytes) */
};

typedef int pid_t;  /* size: 4 */

int do_one(pid_t what);

enum state {
    RUNNING = 0,
    SLEEPING = 1,

    /* size: 4, values: 2 */
};
";
    // the column of the comments is that of the longest declaration
    let squeeze = |t: &str| t.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
    assert_eq!((status, squeeze(&out)), (0, squeeze(expected)), "{said}");
    let (status, out, said) = run(
        &["linux", "type"],
        &file,
        &["-q", "task_struct.tasks.prev", "task_struct+0x54", "task_struct+4", "task_struct+6"],
    );
    assert_eq!(
        (status, out.as_str()),
        (
            0,
            "/* struct task_struct.tasks.prev:   0x20      8 */\nstruct list_head *prev;\n\n\
             struct task_struct+0x54: long unsigned int whole, byte 4 of 8\n\n\
             struct task_struct+0x4: unsigned int a:3, bits 0 to 2 of byte 0x4\n\
             struct task_struct+0x4: int b:5, bits 3 to 7 of byte 0x4\n\n\
             struct task_struct+0x6: a hole of 3 bytes from 0x5 on\n"
        ),
        "{said}"
    );
    let (status, out, said) = run(&["linux", "type"], &file, &["-q", "task_strct", "task_struct.com", "nowhere"]);
    assert_eq!((status, out.as_str()), (1, "struct nowhere;  /* the kernel has no definition of it */\n"));
    assert_eq!(
        said,
        "error: the kernel has no type \"task_strct\"; did you mean task_struct?\n\
         error: struct task_struct has no member com; did you mean comm?\n"
    );
    let (status, out, _) = run(&["linux", "type"], &file, &["-q"]);
    assert_eq!((status, out.lines().count()), (0, 9), "{out}");
}

#[test]
fn values_are_printed() {
    let file = state("values");
    for (expression, printed) in [
        ("init_task.comm", "init_task.comm = \"swapper\"\n"),
        ("jiffies", "jiffies = 4294937296\n"),
        ("init_task.a", "init_task.a = 5\n"),
        ("init_task.b", "init_task.b = -2\n"),
        ("init_task.state", "init_task.state = SLEEPING (1)\n"),
        ("init_task.ok", "init_task.ok = true\n"),
        ("init_task.parent", "init_task.parent = NULL\n"),
        ("init_task.run", "init_task.run = 0xffffffff81000040 <do_one>\n"),
        ("init_task.counts", "init_task.counts = [0, 3, 6, 9]\n"),
        ("init_task.counts[2]", "init_task.counts[2] = 6\n"),
        ("init_task.counts[1..3]", "init_task.counts[1] = 3\ninit_task.counts[2] = 6\n"),
        ("init_task.whole", "init_task.whole = 4294967303\n"),
        ("init_task.counted", "init_task.counted = 7\n"),
        ("init_task.title", "init_task.title = 0xffffffff81008200 <linux_banner> \"Linux version 6.1.0-made\\u{a}\"\n"),
        ("linux_banner", "linux_banner = \"Linux version 6.1.0-made\\u{a}\"\n"),
        ("&init_task.tasks", "&init_task.tasks = 0xffffffff81008018 <init_task+0x18>\n"),
        (
            "*init_task.tasks.next",
            "*init_task.tasks.next = struct list_head {\n    next = 0xffffffff8100b018 <__per_cpu_end+0x1f18>\n    prev = 0xffffffff81008018 <init_task+0x18>\n}\n",
        ),
        ("this_task@cpu0.comm", "this_task@cpu0.comm = \"init\"\n"),
        ("this_task@cpu1->pid", "this_task@cpu1.pid = 0\n"),
        ("pid_t@mystery", "pid_t@0xffffffff81008320 = 42\n"),
        (
            "struct task_struct@0xffffffff8100a000.parent.comm",
            "struct task_struct@0xffffffff8100a000.parent.comm = \"swapper\"\n",
        ),
        ("unsigned long[2]@mystery", "unsigned long[2]@0xffffffff81008320 = [42, 0]\n"),
        (
            "list(init_task.tasks, struct task_struct, tasks).comm",
            "struct task_struct@0xffffffff8100a000.comm = \"init\"\n\
             struct task_struct@0xffffffff8100b000.comm = \"made\\u{1b}\"\n",
        ),
        ("list(modules, struct task_struct, tasks)", ""),
        (
            "list(init_task.tasks, task_struct, tasks).parent.pid",
            "struct task_struct@0xffffffff8100a000.parent.pid = 0\nstruct task_struct@0xffffffff8100b000.parent.pid = 1\n",
        ),
    ] {
        let (status, out, said) = run(&["linux", "print"], &file, &["-q", expression]);
        assert_eq!((status, out.as_str(), said.as_str()), (0, printed, ""), "{expression}");
    }
    let (_, out, _) = run(&["linux", "print"], &file, &["-q", "init_task", "--depth", "1", "--limit", "2"]);
    assert!(out.starts_with("init_task = struct task_struct {\n    state = SLEEPING (1)\n"), "{out}");
    assert!(out.contains("    tasks = {...}\n") && out.contains("    counts = [0, 3, ... 2 of 4]\n"), "{out}");
    let (_, out, _) = run(&["linux", "print"], &file, &["-q", "init_task", "--depth", "0"]);
    assert_eq!(out, "init_task = struct task_struct {...}\n");
}

#[test]
fn expressions_without_a_value_say_why() {
    let file = state("no-value");
    for (expression, why) in [
        ("init_task.com", "struct task_struct has no member com (at \".com\"); did you mean comm?"),
        ("init_tas", "the kernel has no symbol init_tas; did you mean init_task?"),
        (
            "mystery",
            "the type of mystery is not known: the kernel has those of per-CPU variables alone; give the type: TYPE@mystery",
        ),
        ("this_task", "each processor has its own this_task; give one: this_task@cpu0"),
        ("this_task@cpu2", "expected a processor below 2, found 2"),
        ("do_one", "do_one is a function; linux type prints its prototype"),
        ("init_task.parent.comm", "the pointer at 0xffffffff81008030 is null (at \".comm\")"),
        ("init_task.pid.x", "expected a structure, found int (at \".x\")"),
        ("init_task.comm[16]", "expected an element below 16, found 16 (at \"[16]\")"),
        ("*init_task.pid", "expected a pointer, found pid_t (at \"*\")"),
        ("struct tsk@0x10", "the kernel has no type \"struct tsk\""),
        (
            "list(init_task.pid, struct task_struct, tasks)",
            "expected the head of a list (struct list_head or hlist_head), found pid_t",
        ),
        (
            "list(init_task.tasks, struct task_struct, task)",
            "struct task_struct has no member task; did you mean tasks?",
        ),
        ("&init_task.a", "a bit-field has no address (at \"&\")"),
        ("jiffies[0..99999]", "expected at most 65536 values (at \"[0..99999]\")"),
    ] {
        let (status, out, said) = run(&["linux", "print"], &file, &["-q", expression]);
        assert_eq!((status, out.as_str(), said), (1, "", format!("error: {expression:?}: {why}\n")));
    }
    let (status, _, said) = run(&["linux", "print"], &file, &["init_task.", "jiffies"]);
    assert_eq!(
        (status, said.as_str()),
        (2, "error: \"init_task.\": expected the name of a member, found the end (character 11)\n")
    );
}

#[test]
fn symbols_for_other_tools() {
    let file = state("symbol-tables");
    let out = file.with_file_name("out");
    let path = out.to_str().unwrap();
    let (status, _, said) = run(&["symbols"], &file, &["--system-map", "-o", path, "-q"]);
    assert_eq!((status, said.as_str()), (0, ""));
    let map = std::fs::read_to_string(&out).unwrap();
    assert_eq!(map.lines().count(), typed::SYMBOLS.len());
    assert!(
        map.starts_with("ffffffff81000000 T _stext\nffffffff81000000 T _text\nffffffff81000040 t do_one\n"),
        "{map}"
    );
    // an existing file is kept
    let (status, _, said) = run(&["symbols"], &file, &["--elf", "-o", path, "-q"]);
    assert!(status == 2 && said.contains("exists"), "{said}");
    let (status, _, said) = run(&["symbols"], &file, &["--elf", "-o", path, "-q", "--force"]);
    assert_eq!((status, said.as_str()), (0, ""));
    let elf = std::fs::read(&out).unwrap();
    assert!(elf.starts_with(b"\x7fELF\x02\x01\x01") && memchr::memmem::find(&elf, &typed::types()).is_some());
    let (status, _, said) = run(&["symbols"], &file, &["-o", path]);
    assert!(status == 2 && said.contains("--isf") && said.contains("--system-map"), "{said}");
    let (_, _, said) = run(&["symbols"], &file, &["--isf", "--elf", "-o", path]);
    assert!(said.contains("cannot be used with"), "{said}");
}

#[test]
fn the_table_of_volatility() {
    let file = state("isf");
    let (status, out, said) = run(&["symbols"], &file, &["--isf", "-o", "-", "-q"]);
    assert_eq!((status, said.as_str()), (0, ""));
    let isf: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(isf["metadata"]["format"], "6.2.0");
    let task = &isf["user_types"]["task_struct"];
    assert_eq!((&task["kind"], &task["size"]), (&"struct".into(), &96.into()));
    for (name, expected) in [
        ("comm", r#"{"type":{"kind":"array","count":16,"subtype":{"kind":"base","name":"char"}},"offset":8}"#),
        (
            "a",
            r#"{"type":{"kind":"bitfield","bit_position":0,"bit_length":3,"type":{"kind":"base","name":"unsigned int"}},"offset":4}"#,
        ),
        (
            "b",
            r#"{"type":{"kind":"bitfield","bit_position":3,"bit_length":5,"type":{"kind":"base","name":"int"}},"offset":4}"#,
        ),
        ("pid", r#"{"type":{"kind":"base","name":"int"},"offset":40}"#),
        ("parent", r#"{"type":{"kind":"pointer","subtype":{"kind":"struct","name":"task_struct"}},"offset":48}"#),
        ("run", r#"{"type":{"kind":"pointer","subtype":{"kind":"function"}},"offset":56}"#),
        ("state", r#"{"type":{"kind":"enum","name":"state"},"offset":0}"#),
    ] {
        assert_eq!(task["fields"][name], serde_json::from_str::<Value>(expected).unwrap(), "{name}");
    }
    let nameless = &task["fields"]["unnamed_field_0"];
    assert_eq!((&nameless["anonymous"], &nameless["offset"]), (&true.into(), &80.into()));
    let inner = nameless["type"]["name"].as_str().unwrap();
    assert_eq!(isf["user_types"][inner]["kind"], "union");
    assert_eq!(isf["enums"]["state"]["constants"]["SLEEPING"], 1);
    let symbols = &isf["symbols"];
    assert_eq!(symbols["init_task"]["type"]["name"], "task_struct");
    assert_eq!(symbols["init_task"]["address"], 0xffff_ffff_8100_8000_u64);
    assert_eq!(symbols["start_kernel"]["type"]["kind"], "function");
    assert_eq!(symbols["this_task"]["type"]["kind"], "pointer");
    assert_eq!(symbols["mystery"]["type"]["name"], "void");
    assert_eq!(symbols["linux_banner"]["constant_data"], "TGludXggdmVyc2lvbiA2LjEuMC1tYWRlCgA=");
}
