//! The forms of a report: what they look like, and whether those who read them can.
//!
//! SARIF is checked against its official schema, the XML against `testdata/schemas/junit.xsd`. Without `cargo metadata` or
//! `xmllint` these tests are skipped; with SAVEVM_ANALYZE_REQUIRE_VALIDATORS=1, as in `.ci/run`, they fail.

mod common;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::reports;
use insta::assert_snapshot;
use savevm_analyze::findings::{Question, Report, Severity};
use savevm_analyze::render;
use savevm_analyze::render::report::json::ReportDocument;
use savevm_analyze::render::report::sarif::Sarif;
use savevm_analyze::render::report::{github, junit, markdown, summary, text, verdict};
use savevm_analyze::render::tree::Role;
use serde_json::Value;

fn written(f: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    f(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn as_text(r: &Report) -> String {
    written(|out| text::print(out, r, 80, &|_: Role, text: &str| text.to_owned()))
}

fn as_junit(r: &Report) -> String {
    written(|out| junit::print(out, r))
}

fn as_sarif(r: &Report) -> String {
    written(|out| render::pretty(out, &Sarif::new(r)))
}

fn as_markdown(r: &Report) -> String {
    written(|out| markdown::print(out, r))
}

fn as_github(r: &Report) -> String {
    written(|out| github::print(out, r))
}

/// Every report that was made up.
fn all() -> Vec<(&'static str, Report)> {
    vec![
        ("diff", reports::diff()),
        ("same", reports::same()),
        ("empty", Report { question: Question::Diff, ..Report::default() }),
        ("compat", reports::compat()),
        ("may-break", reports::compat_at_most(Severity::MayBreak)),
        ("compatible", reports::compat_at_most(Severity::Harmless)),
        ("many", reports::many(3000)),
    ]
}

#[test]
fn text_of_a_diff() {
    assert_snapshot!(as_text(&reports::diff()));
}

#[test]
fn text_of_a_question_for_a_target() {
    assert_snapshot!(as_text(&reports::compat()));
}

#[test]
fn json_of_a_diff() {
    assert_snapshot!(written(|out| render::pretty(out, &ReportDocument::new(&reports::diff()))));
}

#[test]
fn junit_of_a_diff() {
    assert_snapshot!(as_junit(&reports::diff()));
}

#[test]
fn junit_of_a_question_for_a_target() {
    assert_snapshot!(as_junit(&reports::compat()));
}

#[test]
fn sarif_of_a_question_for_a_target() {
    assert_snapshot!(as_sarif(&reports::compat()).replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[test]
fn markdown_of_a_diff() {
    assert_snapshot!(as_markdown(&reports::diff()));
}

#[test]
fn github_of_a_diff() {
    assert_snapshot!(as_github(&reports::diff()));
}

#[test]
fn github_of_many() {
    assert_snapshot!(as_github(&reports::many(40)));
}

#[test]
fn the_last_line_says_it_all() {
    let lines: Vec<String> = all().iter().map(|(_, r)| format!("{}: {}", verdict(r), summary(r))).collect();
    assert_snapshot!(lines.join("\n"));
}

/// Nothing that a terminal obeys comes out of a name in a stream.
#[test]
fn control_characters_are_written_out() {
    let r = reports::diff();
    for text in [as_text(&r), as_junit(&r), as_sarif(&r), as_markdown(&r), as_github(&r)] {
        let odd = text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(odd, None, "{text}");
    }
}

#[test]
fn a_comment_has_a_limit() {
    for n in [100, 3000] {
        let text = as_markdown(&reports::many(n));
        let rest = n as usize - text.matches("<code>cpu").count();
        assert!(text.len() < 60_000 && (rest == 0) == (n == 100), "{n}: {} bytes", text.len());
        // human-readable counts have gaps
        let said = format!("{rest}moredifferencesleftout");
        assert!(rest == 0 || (text.len() > 55_000 && text.replace(' ', "").contains(&said)), "{}", text.len());
    }
}

/// Returns what a test needs, or reports that the test is skipped; fails where it must not be skipped.
fn or_skip<T>(what: Option<T>, missing: &str) -> Option<T> {
    let required = std::env::var_os("SAVEVM_ANALYZE_REQUIRE_VALIDATORS").is_some_and(|v| v == "1");
    assert!(what.is_some() || !required, "{missing}, and SAVEVM_ANALYZE_REQUIRE_VALIDATORS=1");
    if what.is_none() {
        eprintln!("skipped: {missing}");
    }
    what
}

/// Returns the official schema, from a package that has it; it is named in Cargo.toml for this, and never built.
fn sarif_schema() -> Option<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--locked", "--manifest-path"]);
    let out = cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).output().ok()?;
    let metadata: Value = serde_json::from_slice(&out.stdout).ok()?;
    let package = metadata["packages"].as_array()?.iter().find(|p| p["name"] == "serde-sarif")?;
    let schema = Path::new(package["manifest_path"].as_str()?).with_file_name("src").join("schema.json");
    let text = fs::read_to_string(schema).ok()?;
    // a bracket too many, by which the pattern for languages is none for those who take the rules for them seriously
    serde_json::from_str(&text.replace("-[a-zA-Z]{2}]?$", "-[a-zA-Z]{2}$")).ok()
}

#[test]
fn sarif_follows_its_schema() {
    let Some(schema) = or_skip(sarif_schema(), "cargo metadata does not find the schema of SARIF") else { return };
    assert!(schema["$id"].as_str().unwrap().ends_with("/sarif-schema-2.1.0.json"));
    let v = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    for (name, r) in all() {
        let document: Value = serde_json::from_str(&as_sarif(&r)).unwrap();
        if let Some(e) = v.iter_errors(&document).next() {
            panic!("{name}: {e} at {}", e.instance_path());
        }
        let prints: Vec<&Value> =
            document["runs"][0]["results"].as_array().unwrap().iter().map(|r| &r["partialFingerprints"]).collect();
        for (i, p) in prints.iter().enumerate() {
            assert!(!prints[..i].contains(p), "{name}: {p} twice");
        }
        for (pointer, wrong) in [
            ("/version", "2.0"),
            ("/runs/0/results", "none"),
            ("/runs/0/tool/driver/name", ""),
            ("/runs/0/results/0/level", "x"),
        ] {
            let mut bad = document.clone();
            let Some(place) = bad.pointer_mut(pointer) else { continue };
            *place = if wrong.is_empty() { Value::Null } else { wrong.into() };
            assert!(!v.is_valid(&bad), "{name}: {wrong} at {pointer} was accepted");
        }
    }
}

fn xmllint() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|d| d.join("xmllint")).find(|p| p.is_file())
}

#[test]
fn junit_follows_its_schema() {
    let Some(xmllint) = or_skip(xmllint(), "there is no xmllint in PATH (Debian: libxml2-utils)") else { return };
    let file = common::scratch("junit").join("report.xml");
    let check = |text: &str| {
        fs::write(&file, text).unwrap();
        let mut c = Command::new(&xmllint);
        c.args(["--noout", "--nonet", "--schema"]).arg(common::testdata().join("schemas/junit.xsd")).arg(&file);
        let out = c.output().unwrap();
        if out.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
    };
    for (name, r) in all() {
        check(&as_junit(&r)).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    let good = as_junit(&reports::diff());
    for (from, to) in
        [(" tests=\"", " test=\""), ("<failure ", "<fail "), ("classname=\"diff\"", ""), ("</testsuites>", "")]
    {
        assert!(good.contains(from), "{from}");
        assert!(check(&good.replacen(from, to, 1)).is_err(), "{from} -> {to} was accepted");
    }
    // the numbers are those of the cases
    let cases = |what: &str| good.matches(what).count();
    let head = good.lines().find(|l| l.contains("<testsuite ")).unwrap();
    for (key, n) in [
        ("tests", cases("<testcase ")),
        ("failures", cases("<failure ")),
        ("errors", cases("<error ")),
        ("skipped", cases("<skipped ")),
    ] {
        assert!(head.contains(&format!("{key}=\"{n}\"")), "{key} {n}: {head}");
    }
}
