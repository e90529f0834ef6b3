//! Reports that were made up, for the tests of what is printed of them.

use savevm_analyze::findings::{Aspect, Difference, Question, Report, Rule, Severity, Subject};
use savevm_analyze::offset::StreamRange;

static VALUE: Rule = Rule { id: "field-value", what: "The value of a field differs." };
static SECTION: Rule = Rule { id: "section-removed", what: "The second state does not have this section." };
static UNKNOWN: Rule = Rule { id: "section-unknown", what: "The target has no device of this name." };
static SUBSECTION: Rule = Rule { id: "subsection-unknown", what: "The target does not know a subsection." };
static UNHIT: Rule = Rule { id: "machine", what: "The machine type differs." };
static EXPIRED: Rule = Rule { id: "accepted-expired", what: "An entry of the accepted differences has expired." };

static OF_DIFF: &[&Rule] = &[&UNHIT, &VALUE, &SECTION];
static OF_COMPAT: &[&Rule] = &[&UNKNOWN, &SUBSECTION];

fn aspect(text: &str, start: u64) -> Option<Aspect> {
    Some(Aspect::new(text, Some(StreamRange::with_len(start, 8))))
}

fn value(subject: &Subject, field: &str, before: &str, after: &str) -> Difference {
    Difference {
        rule: &VALUE,
        severity: Severity::Differs,
        subject: subject.field(field),
        message: "the value is another".to_owned(),
        before: aspect(before, 0x1f3a),
        after: aspect(after, 0x2000),
        meaning: Vec::new(),
    }
}

/// Returns what a comparison of two states may find, odd names and all.
pub fn diff() -> Report {
    let cpu = Subject::section("cpu", 0);
    let second = Subject::section("cpu", 1);
    let odd = Subject::section("we|ird `<b>`\u{1b}[31m\u{1}, 100%: \"x\"\nnext\u{ffff}", 7);
    let long = "00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff 00 11 22 33 44 55 66 77 … (256 bytes)";
    let mut flags = value(&second, "env.eflags", "0x00000002", "0x00000246");
    flags.meaning = vec!["ZF 0 -> 1".to_owned(), "IF 0 -> 1".to_owned()];
    let mut renamed = value(&odd, "a]]>b::c", "1", "2");
    renamed.after.as_mut().unwrap().path = Some("a.new_name".to_owned());
    renamed.message = "100% other:\r\n@all | *see* [this](x)".to_owned();
    let gone = Difference {
        rule: &SECTION,
        subject: Subject::section("0000:00:02.0/virtio-net", 0),
        message: "the section is gone".to_owned(),
        before: aspect("version 11, 2 148 bytes", 0x3000),
        after: None,
        ..value(&cpu, "", "", "")
    };
    Report {
        brief: false,
        question: Question::Diff,
        strict: false,
        inputs: ["states/before.mig".into(), "/var/tmp/after 100%.mig".into()],
        rules: OF_DIFF,
        differences: vec![
            value(&cpu, "env.regs[3..5]", "0x0000000000000001", "0x0000000000000002"),
            value(&cpu, "env.tsc", "7", "8"),
            value(&cpu, "env.a_name_that_is_longer_than_others[12].is_used", "7", "8"),
            value(&cpu, "env.xsave", long, &long.replace("00", "01")),
            flags,
            gone,
            renamed,
        ],
        accepted: vec![
            (value(&Subject::section("timer", 0), "ticks", "1", "2"), "the clock goes on".to_owned()),
            (value(&Subject::part("ram", "pc.ram"), "", "1", "2"), "pages | \u{1} of the guest".to_owned()),
            (value(&cpu, "env.tsc", "7", "9"), "the clock goes on".to_owned()),
        ],
        ignored: 1,
        compared: ["configuration", "timer (0)", "cpu (0)", "cpu (1)", "i8259 (0)", "0000:00:02.0/virtio-net (0)"]
            .map(str::to_owned)
            .to_vec(),
        faults: vec!["after.mig: fw_cfg: cannot be decoded\nat all".to_owned()],
    }
}

/// Returns two states that are the same.
pub fn same() -> Report {
    let Report { inputs, rules, compared, .. } = diff();
    Report { question: Question::Diff, inputs, rules, compared, ..Report::default() }
}

/// Returns what the question for a target may find, with a difference of each severity.
pub fn compat() -> Report {
    let net = Subject::section("0000:00:02.0/virtio-net", 0);
    let one = |rule: &'static Rule, severity: Severity, subject: Subject, message: &str| Difference {
        rule,
        severity,
        subject,
        message: message.to_owned(),
        before: aspect("version 2", 0x4000),
        after: None,
        meaning: Vec::new(),
    };
    let mut net_breaks =
        one(&UNKNOWN, Severity::Breaks, net.field("vdev.config"), "the target reads another number of bytes");
    net_breaks.after = aspect("12 bytes", 0);
    net_breaks.meaning = vec![
        "the configuration space of virtio-net grew when the guest was given a way to read the speed of the link"
            .to_owned(),
    ];
    let mut expired = one(&EXPIRED, Severity::Harmless, Subject::part("accepted", "known.toml:3"), "the entry expired");
    expired.before = None;
    Report {
        brief: false,
        question: Question::Compat,
        strict: false,
        inputs: ["vm.mig".into(), "qemu 7.2".into()],
        rules: OF_COMPAT,
        differences: vec![
            one(
                &UNKNOWN,
                Severity::Breaks,
                Subject::section("i6300esb_wdt", 0),
                "the target has no such section, and QEMU stops at a section that it does not know: take the device out before the guest is saved",
            ),
            net_breaks,
            one(&SUBSECTION, Severity::MayBreak, net.field("vdev/disabled"), "the target does not know the subsection"),
            one(&SUBSECTION, Severity::Harmless, net.field("packed_ring"), "only read when it is used"),
            expired,
        ],
        compared: vec!["0000:00:02.0/virtio-net (0)".to_owned(), "i6300esb_wdt (0)".to_owned()],
        ..Report::default()
    }
}

/// Returns the same with nothing heavier than this.
pub fn compat_at_most(severity: Severity) -> Report {
    let mut r = compat();
    r.differences.retain(|d| d.severity <= severity);
    r
}

/// Returns more differences than fit into a comment, or are shown as annotations.
pub fn many(n: u32) -> Report {
    let cpu = Subject::section("cpu", 0);
    let differences = (0..n).map(|i| value(&cpu, &format!("env.f{i}"), "0x0000000000000001", "0x2")).collect();
    Report { differences, ..same() }
}
