//! Dumps that nobody made in good faith.

use super::pair;

/// Asserts that a hostile dump is answered soon, as either side; returns the exit statuses.
fn soon(name: &str, dump: &str) -> Vec<i32> {
    let run = pair(&format!("hostile-{name}"), |_, _| ());
    run.file("hostile.json", dump);
    let begun = std::time::Instant::now();
    let mut out = Vec::new();
    for args in [
        ["saved.mig", "hostile.json"],
        ["hostile.json", "target.mig"],
        ["hostile.json", "target.json"],
        ["hostile.json", "hostile.json"],
    ] {
        let status = run.output(&args).status.code().unwrap_or_else(|| panic!("{name}: killed"));
        assert!((0..=3).contains(&status), "{name} {args:?}: {status}");
        out.push(status);
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(40), "{name}: {:?}", begun.elapsed());
    out
}

fn class(description: &str) -> String {
    format!("{{\n  \"dev-pci\": {{\n    \"Name\": \"dev-pci\",\n    \"Description\": {description}\n  }}\n}}\n")
}

#[test]
fn hostile_dumps_are_answered_soon() {
    let head = r#""name": "dev", "version_id": 3, "minimum_version_id": 2"#;
    let one = r#"{"field": "irq", "version_id": 0, "field_exists": false, "size": 4}"#;
    let flat = |n: usize| class(&format!("{{{head}, \"Fields\": [{}]}}", vec![one; n].join(", ")));
    soon("equal-names", &flat(100_000));
    let names: Vec<String> = (0..100_000).map(|i| one.replace("irq", &format!("f{}", i * 7_919 % 100_003))).collect();
    soon("other-names", &class(&format!("{{{head}, \"Fields\": [{}]}}", names.join(", "))));
    let conditional = one.replace("false", "true");
    let sums: Vec<String> = (0..5_000).map(|i| conditional.replace("4}", &format!("{}}}", 1 << (i % 31)))).collect();
    soon("conditions", &class(&format!("{{{head}, \"Fields\": [{}]}}", sums.join(", "))));
    for depth in [30, 60, 5_000] {
        let open = format!(
            r#"{{{head}, "Fields": [{{"field": "slot", "version_id": 0, "field_exists": false, "size": 10, "Description": "#
        );
        let text = format!("{}{{{head}}}{}", open.repeat(depth), "}]}".repeat(depth));
        soon(&format!("deep-{depth}"), &class(&text));
    }
    let subsections = format!(r#"{{{head}, "Subsections": [{}]}}"#, vec![format!("{{{head}}}"); 50_000].join(", "));
    soon("subsections", &class(&subsections));
    for number in ["99999999999999999999999999", "-1", "4294967295", "1e300", "0.5", "\"4\"", "null", "[]", "{}"] {
        let text = class(&format!(
            r#"{{"name": "dev", "version_id": {number}, "minimum_version_id": {number}, "Fields": [{{"field": "irq", "version_id": {number}, "field_exists": {number}, "num": {number}, "size": {number}, "Description": {number}}}], "Subsections": {number}}}"#
        ));
        soon("numbers", &text);
    }
    let long = class(&format!(r#"{{"name": "dev", "Fields": [{{"field": "{}", "size": 4}}]}}"#, "x".repeat(1 << 20)));
    soon("long-name", &long);
    let classes: Vec<String> = (0..50_000).map(|i| format!(r#""c{i}": {{"Description": {{{head}}}}}"#)).collect();
    soon("classes", &format!("{{{}}}", classes.join(", ")));
    assert_eq!(soon("unfinished", &"{\"a\": {\n  },".repeat(50_000))[0], 2);
    assert_eq!(soon("deep-json", &("{\"a\": ".repeat(100_000) + "1"))[0], 2);
}
