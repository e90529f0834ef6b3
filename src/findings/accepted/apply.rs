//! What a file of accepted differences does to a report.

use toml::value::Date;

use super::{ACCEPTED_EXPIRED, ACCEPTED_UNUSED, ACCEPTED_VERSION_UNKNOWN, Accepted, Entry, Requirement, Version};
use crate::findings::{Aspect, Difference, Report, Rule, Severity, Subject};
use crate::offset::Sure;

/// What entries are judged by, apart from the differences.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// The version of QEMU that wrote the first input, where it is known.
    pub from: Option<Version>,
    /// The version that wrote, or is to read, the second.
    pub to: Option<Version>,
    /// The day on which the question is asked.
    pub today: Date,
    /// Whether an unused entry makes the check fail.
    pub strict: bool,
}

/// Outcome of applying an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It matched.
    Applied,
    /// It matched nothing.
    Unused,
    /// It matched nothing, which is allowed for learned entries.
    Learned,
    /// Past its expiry date.
    Expired,
    /// It is for other versions.
    OtherVersions,
    /// It is for certain versions, and one of them was not given.
    VersionUnknown,
}

impl Accepted {
    /// Moves matching differences from those that count to those that are accepted, and returns the outcome of each
    /// entry. Remarks about entries are added to the differences.
    pub fn apply(&self, report: &mut Report, c: &Conditions) -> Vec<Fate> {
        // first as if no entry matched
        let mut fates: Vec<Fate> = self.entries.iter().map(|e| e.standing(c)).collect();
        let mut left_over = vec![false; self.entries.len()];
        let mut counting = Vec::with_capacity(report.differences.len());
        for d in std::mem::take(&mut report.differences) {
            let mut reason = None;
            let mut silent = Vec::new();
            for (i, (e, fate)) in self.entries.iter().zip(&mut fates).enumerate().filter(|(_, (e, _))| e.matches(&d)) {
                match fate {
                    Fate::Applied | Fate::Unused | Fate::Learned => {
                        *fate = Fate::Applied;
                        reason.get_or_insert(&e.reason);
                    }
                    Fate::Expired | Fate::VersionUnknown => silent.push(i),
                    Fate::OtherVersions => {}
                }
            }
            if let Some(reason) = reason {
                report.accepted.push((d, reason.clone()));
                continue;
            }
            for i in silent {
                if let Some(hit) = left_over.get_mut(i) {
                    *hit = true;
                }
            }
            counting.push(d);
        }
        report.differences = counting;
        for ((e, fate), hit) in self.entries.iter().zip(&fates).zip(left_over) {
            report.differences.extend(e.remark(*fate, hit, c));
        }
        fates
    }
}

impl Entry {
    /// Returns whether the entry is about a difference, whatever the day and the versions.
    #[must_use]
    pub fn matches(&self, d: &Difference) -> bool {
        let side = |wanted: &Option<String>, side: &Option<Aspect>| {
            wanted.as_ref().is_none_or(|w| side.as_ref().is_some_and(|s| s.text == *w))
        };
        self.rule.as_ref().is_none_or(|r| r == d.rule.id)
            && may_match(&self.path, &d.subject)
            && side(&self.before, &d.before)
            && side(&self.after, &d.after)
            && d.subject.matches(&self.path)
    }

    /// Returns the outcome of the entry if it matches nothing.
    fn standing(&self, c: &Conditions) -> Fate {
        if self.expires.is_some_and(|day| day <= c.today) {
            return Fate::Expired;
        }
        let fits = |r: &Option<Requirement>, v: Option<Version>| match (r, v) {
            (None, _) => Some(true),
            (Some(_), None) => None,
            (Some(r), Some(v)) => Some(r.fits(v)),
        };
        match (fits(&self.from, c.from), fits(&self.to, c.to)) {
            (Some(false), _) | (_, Some(false)) => Fate::OtherVersions,
            (None, _) | (_, None) => Fate::VersionUnknown,
            _ if self.learned => Fate::Learned,
            _ => Fate::Unused,
        }
    }

    /// Returns the remark about the entry; `hit` says whether it would have matched something that counts.
    fn remark(&self, fate: Fate, hit: bool, c: &Conditions) -> Option<Difference> {
        let say = |rule: &'static Rule, severity: Severity, message: String| {
            Some(Difference::new(rule, severity, Subject::part("accepted", self.place()), message, [None, None]))
        };
        let path = &self.path;
        match fate {
            Fate::Expired if hit => {
                let day = self.expires.map(|d| d.to_string()).unwrap_or_default();
                let message = format!("the entry for {path} expired on {day} and is no longer applied");
                say(&ACCEPTED_EXPIRED, Severity::Harmless, message)
            }
            Fate::VersionUnknown if hit => {
                let unknown = self.from.is_some() && c.from.is_none();
                let option = if unknown { "--from-version" } else { "--to-version" };
                let message = format!("the entry for {path} applies to certain QEMU versions; give {option}");
                say(&ACCEPTED_VERSION_UNKNOWN, Severity::Harmless, message)
            }
            Fate::Unused if c.strict => {
                say(&ACCEPTED_UNUSED, Severity::Differs, format!("the entry for {path} no longer matches anything"))
            }
            _ => None,
        }
    }
}

/// Moves the differences that one of the patterns means out of the way, and counts them.
pub fn ignore(report: &mut Report, patterns: &[String]) {
    let before = report.differences.len();
    report.differences.retain(|d| !patterns.iter().any(|p| may_match(p, &d.subject) && d.subject.matches(p)));
    let gone = before.minus(report.differences.len());
    report.ignored = report.ignored.plus(u64::try_from(gone).unwrap_or(u64::MAX));
}

/// A quick test on the text before the first wildcard: thousands of learned entries are compared with thousands of
/// differences.
fn may_match(pattern: &str, subject: &Subject) -> bool {
    let literal = pattern.trim().split(['*', '?']).next().unwrap_or_default();
    let Some(rest) = literal.strip_prefix(subject.section.exact()) else { return subject.section.starts_with(literal) };
    let behind = match rest.strip_prefix(" (").map(|r| r.split_once(')')) {
        None => rest,
        Some(None) => return true,
        Some(Some((n, _))) if n.parse().ok() != subject.instance => return false,
        Some(Some((_, behind))) => behind,
    };
    // a range means what lies within it, which is written differently
    let before_range = |field: &str| field.find("..").and_then(|i| field.get(..i)?.rfind('['));
    behind.strip_prefix(" > ").is_none_or(|field| {
        let fixed = before_range(field).and_then(|i| field.get(..i)).unwrap_or(field);
        subject.field.starts_with(fixed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    static VALUE: Rule = Rule { id: "field-value", what: "" };
    static MISSING: Rule = Rule { id: "section-missing", what: "" };

    fn difference(rule: &'static Rule, field: &str, before: &str, after: &str) -> Difference {
        Difference {
            rule,
            severity: Severity::Differs,
            subject: Subject::section("cpu", 0).field(field),
            message: "the value changed".to_owned(),
            before: Some(Aspect::new(before, None)),
            after: Some(Aspect::new(after, None)),
            meaning: Vec::new(),
        }
    }

    fn report() -> Report {
        let differences = vec![
            difference(&VALUE, "env.tsc", "1", "2"),
            difference(&VALUE, "env.regs[3]", "5", "6"),
            difference(&MISSING, "", "x", "y"),
        ];
        Report { differences, ..Report::default() }
    }

    fn day(text: &str) -> Date {
        text.parse::<toml::value::Datetime>().unwrap().date.unwrap()
    }

    fn conditions() -> Conditions {
        Conditions { from: None, to: None, today: day("2026-06-01"), strict: false }
    }

    fn applied(entries: &str, c: &Conditions) -> (Report, Vec<Fate>) {
        let mut r = report();
        let fates = Accepted::parse(entries, "a.toml").unwrap().apply(&mut r, c);
        (r, fates)
    }

    fn entry(keys: &str) -> String {
        format!("[[accept]]\nreason = 'known'\n{keys}\n")
    }

    /// Returns the id of each difference that counts, and the number of those that are accepted.
    fn told(r: &Report) -> (Vec<&'static str>, usize) {
        (r.differences.iter().map(|d| d.rule.id).collect(), r.accepted.len())
    }

    #[test]
    fn what_matches_moves_and_has_the_reason() {
        let (r, fates) = applied(&entry("path = 'cpu > env.tsc'"), &conditions());
        assert_eq!(told(&r), (vec!["field-value", "section-missing"], 1));
        assert_eq!((r.accepted[0].0.subject.field.as_str(), r.accepted[0].1.as_str()), ("env.tsc", "known"));
        assert_eq!(fates, [Fate::Applied]);
        for (keys, counts) in [
            ("path = 'cpu'", 0),
            ("path = '*'", 0),
            ("path = 'cpu > env'", 1),
            ("path = 'cpu (0) > env.regs[3]'", 2),
            ("path = 'cpu (1)'", 3),
            ("path = 'cpux'", 3),
            ("path = 'cpu'\nrule = 'section-missing'", 2),
            ("path = 'cpu'\nrule = 'section'", 3),
            ("path = 'cpu'\nbefore = '5'", 2),
            ("path = 'cpu'\nbefore = '5'\nafter = '7'", 3),
        ] {
            assert_eq!(applied(&entry(keys), &conditions()).0.differences.len(), counts, "{keys}");
        }
    }

    #[test]
    fn an_entry_ends_on_its_day_and_the_report_says_so() {
        let keys = entry("path = 'cpu'\nexpires = 2026-06-02");
        assert_eq!(told(&applied(&keys, &conditions()).0), (vec![], 3));
        let later = Conditions { today: day("2026-06-02"), ..conditions() };
        let (r, fates) = applied(&keys, &later);
        assert_eq!(told(&r), (vec!["field-value", "field-value", "section-missing", "accepted-expired"], 0));
        let last = r.differences.last().unwrap();
        assert_eq!(last.subject.to_string(), "accepted > a.toml:1");
        assert_eq!(last.message, "the entry for cpu expired on 2026-06-02 and is no longer applied");
        assert_eq!(last.severity, Severity::Harmless);
        assert_eq!(fates, [Fate::Expired]);
        // another entry has taken its place
        let (r, _) = applied(&(keys + &entry("path = 'cpu'")), &later);
        assert_eq!(told(&r), (vec![], 3));
        let (r, _) = applied(&entry("path = 'x'\nexpires = 2020-01-01"), &Conditions { strict: true, ..later });
        assert_eq!(told(&r).0.len(), 3);
    }

    #[test]
    fn versions_restrict_an_entry() {
        let keys = entry("path = 'cpu > env.tsc'\nfrom = ['7.2', '<6']\nto = '>=10, <11'");
        let with = |from: &str, to: &str| Conditions { from: from.parse().ok(), to: to.parse().ok(), ..conditions() };
        assert_eq!(applied(&keys, &with("7.2.4", "10.1")).1, [Fate::Applied]);
        for (from, to) in [("8.0", "10.1"), ("7.2", "11.0"), ("8.0", "")] {
            let (r, fates) = applied(&keys, &Conditions { strict: true, ..with(from, to) });
            assert_eq!((told(&r).0.len(), fates), (3, vec![Fate::OtherVersions]));
        }
        let (r, fates) = applied(&keys, &with("7.2", ""));
        assert_eq!(fates, [Fate::VersionUnknown]);
        assert_eq!(told(&r).0, ["field-value", "field-value", "section-missing", "accepted-version-unknown"]);
        assert!(r.differences[3].message.ends_with("give --to-version"));
        assert_eq!(r.differences[3].severity, Severity::Harmless);
        let (r, _) = applied(&entry("path = 'x'\nfrom = '7.2'"), &conditions());
        assert_eq!(told(&r).0.len(), 3);
    }

    #[test]
    fn with_strict_an_entry_must_match() {
        let strict = Conditions { strict: true, ..conditions() };
        let (r, fates) = applied(&(entry("path = 'x'") + &entry("path = 'y'\nlearned = true")), &strict);
        assert_eq!(told(&r).0, ["field-value", "field-value", "section-missing", "accepted-unused"]);
        assert_eq!(r.differences[3].message, "the entry for x no longer matches anything");
        assert!(r.fails() && fates == [Fate::Unused, Fate::Learned]);
        // two that mean the same are both of use
        let (r, fates) = applied(&entry("path = 'cpu'").repeat(2), &strict);
        assert_eq!((told(&r), fates), ((vec![], 3), vec![Fate::Applied; 2]));
    }

    #[test]
    fn what_is_passed_over_quickly_does_not_match() {
        let subjects = [
            Subject::section("cpu", 0),
            Subject::section("cpu", 1).field("env.regs[3]"),
            Subject::section("cpu (1)", 0).field("env"),
            Subject::part("cpu", "env.regs[3]"),
            Subject::part("", "x"),
        ];
        let mut matched = 0;
        for section in
            ["cpu", "cpu (1)", "cpu (0)", "cpu (01)", "cpu (", "c*", "*", "?pu", "cpu (*)", "cpu (1) (0)", "", "cpux"]
        {
            for field in ["", " > env", " > env.regs", " > env.regs[3]", " > env.re*", " > *", " > x", " > ", " "] {
                let pattern = format!("{section}{field}");
                for s in &subjects {
                    matched += usize::from(s.matches(&pattern));
                    assert!(!s.matches(&pattern) || may_match(&pattern, s), "{pattern:?} {s:?}");
                }
            }
        }
        assert!(matched > 50, "{matched}");
        let s = &subjects[1];
        assert!(!may_match("cpu (0) > env", s) && !may_match("cpu (1) > env.regs[4]", s) && !may_match("ram", s));
    }

    #[test]
    fn what_is_ignored_is_only_counted() {
        let mut r = report();
        ignore(&mut r, &["cpu > env".to_owned(), "ram".to_owned()]);
        assert_eq!((told(&r), r.ignored), ((vec!["section-missing"], 0), 2));
    }

    #[test]
    fn what_is_written_accepts_just_that() {
        let mut r = report();
        let written = Accepted::from_report(&r);
        assert_eq!(written.entries.len(), 3);
        let text = written.to_string();
        let first = "[[accept]]\npath = \"cpu (0) > env.tsc\"\nrule = \"field-value\"\nreason = \"to be explained: the value changed\"\n\
                     before = \"1\"\nafter = \"2\"\n";
        assert!(text.starts_with(first), "{text}");
        let read = Accepted::parse(&text, "b.toml").unwrap();
        assert_eq!(read.apply(&mut r, &conditions()), [Fate::Applied; 3]);
        assert!(r.differences.is_empty());
        let mut other = Report { differences: vec![difference(&VALUE, "env.tsc", "1", "3")], ..Report::default() };
        read.apply(&mut other, &conditions());
        assert_eq!(other.differences.len(), 1);
        // values of any type survive a round trip
        let odd = Difference {
            before: Some(Aspect::new("a \"b\" \\ 'c'\n\u{7f} ∞", None)),
            ..report().differences[0].clone()
        };
        let mut odd = Report { differences: vec![odd], ..Report::default() };
        let text = Accepted::from_report(&odd).to_string();
        assert_eq!(Accepted::parse(&text, "").unwrap().apply(&mut odd, &conditions()), [Fate::Applied], "{text}");
    }

    #[test]
    fn what_stays_is_as_it_was() {
        let text = "# head\n\n# why\n[[accept]]\npath = 'cpu' # all\nreason = '''a\nb'''\n\n[[accept]]\npath = 'x'\nreason = 'gone'\n\n\
                    [[accept]]\npath = 'cpu'\nreason = 'old'\nexpires = 2020-01-01\n\n[[accept]]\npath = 'z'\nreason = 'l'\nfrom = '7.2'\n";
        let accepted = Accepted::parse(text, "a.toml").unwrap();
        let fates = accepted.apply(&mut report(), &conditions());
        let mut kept = accepted.kept(&fates);
        assert_eq!(
            kept.to_string(),
            "# head\n\n# why\n[[accept]]\npath = 'cpu' # all\nreason = '''a\nb'''\n\n[[accept]]\npath = 'z'\nreason = 'l'\nfrom = '7.2'\n"
        );
        let more = Entry {
            path: "a".to_owned(),
            reason: "b".to_owned(),
            expires: Some(day("2027-01-01")),
            from: Requirement::parse(&["7.2", ">8, <9"]).ok(),
            learned: true,
            ..Entry::default()
        };
        kept.entries = vec![more.clone()];
        let again = Accepted::parse(&kept.to_string(), "").unwrap();
        assert_eq!(again.entries[0].from, more.from);
        assert!(again.entries[0].learned && again.entries[0].expires == more.expires);
    }
}
