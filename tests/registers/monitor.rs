//! What `info registers -a` prints, read as names and values.

/// A register as the monitor says it.
pub struct Said {
    /// Our name of it.
    pub name: String,
    /// Digits, or words.
    pub value: String,
    /// Whether the value is words, with which ours begin.
    pub words: bool,
    /// Whether it is the lower half of a wider register.
    pub low_half: bool,
}

fn digits(name: impl Into<String>, value: &str) -> Said {
    let value = value.strip_prefix("0x").unwrap_or(value).to_lowercase();
    Said { name: name.into(), value, words: false, low_half: false }
}

fn words(name: impl Into<String>, value: &str) -> Said {
    Said { name: format!("{}.says", name.into()), value: value.to_owned(), words: true, low_half: false }
}

/// Splits the text by processors.
pub fn cpus(text: &str) -> Vec<(u64, Vec<String>)> {
    let mut out: Vec<(u64, Vec<String>)> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(n) = line.strip_prefix("CPU#") {
            out.push((n.parse().unwrap(), Vec::new()));
        } else if !line.is_empty() {
            out.last_mut().unwrap().1.push(line.to_owned());
        }
    }
    out
}

/// Returns the registers of a processor.
pub fn registers(architecture: &str, lines: &[String]) -> Vec<Said> {
    match architecture {
        "x86_64" => x86(lines),
        "i386" => x86(lines).into_iter().map(short_name).collect(),
        a if a.starts_with("riscv") => lines.iter().flat_map(|l| riscv(l)).collect(),
        a if a.starts_with("ppc") => lines.iter().flat_map(|l| ppc(l)).collect(),
        a if a.starts_with("mips") => lines.iter().flat_map(|l| mips(l)).collect(),
        "s390x" => lines.iter().flat_map(|l| s390x(l)).collect(),
        a if a.starts_with("arm") || a == "aarch64" => whole_vectors(lines).iter().flat_map(|l| arm(l)).collect(),
        a => panic!("{a}: no reader"),
    }
}

/// Splits a line into `NAME=` and the words after it, as far as the next such name.
fn assignments(line: &str) -> Vec<(String, Vec<String>)> {
    let line = line.replace(" =", "=");
    let mut out: Vec<(String, Vec<String>)> = Vec::new();
    for token in line.split_whitespace() {
        match token.split_once('=') {
            Some((name, "")) => out.push((name.to_owned(), Vec::new())),
            Some((name, value)) => out.push((name.to_owned(), vec![value.to_owned()])),
            None => out.last_mut().unwrap().1.push(token.to_owned()),
        }
    }
    out
}

/// Returns a register under its name of 32 bits.
fn short_name(mut said: Said) -> Said {
    let register = said.name.split('.').next().unwrap_or_default().to_owned();
    if matches!(register.as_str(), "RAX" | "RBX" | "RCX" | "RDX" | "RSI" | "RDI" | "RBP" | "RSP" | "RIP" | "RFLAGS") {
        said.name = said.name.replacen('R', "E", 1);
    }
    said
}

fn x86(lines: &[String]) -> Vec<Said> {
    let mut out = Vec::new();
    // out of 64-bit code the monitor shows half of each register
    let half = lines.iter().any(|l| l.starts_with("EAX"));
    for line in lines {
        let mut all = assignments(line);
        let first = all[0].0.clone();
        if matches!(first.as_str(), "ES" | "CS" | "SS" | "DS" | "FS" | "GS" | "LDT" | "TR") {
            let attributes = all.get(1).map_or_else(String::new, |(n, w)| format!("{n}={}", w.join(" ")));
            for (part, v) in ["selector", "base", "limit", "flags"].into_iter().zip(&all[0].1) {
                out.push(Said { low_half: half, ..digits(format!("{first}.{part}"), v) });
            }
            out.push(Said { name: format!("{first}.says"), value: attributes, words: true, low_half: false });
            continue;
        }
        if matches!(first.as_str(), "GDT" | "IDT") {
            for (part, v) in ["base", "limit"].into_iter().zip(&all[0].1) {
                out.push(Said { low_half: half, ..digits(format!("{first}.{part}"), v) });
            }
            continue;
        }
        for (name, values) in &mut all {
            match (name.as_str(), values.as_slice()) {
                ("RFL" | "EFL", [v, letters]) => {
                    out.push(digits("RFLAGS", v));
                    out.push(words("RFLAGS", letters));
                }
                ("[ST", [v]) => out.push(words("FSW", &format!("ST={}", v.trim_end_matches(']')))),
                (n, [mantissa, exponent]) if n.starts_with("FPR") => {
                    out.push(digits(n, &format!("{exponent}{mantissa}")));
                }
                (n, v) => {
                    let wide = match n {
                        "EIP" => "RIP".to_owned(),
                        n if half && n.starts_with('E') && n.len() == 3 => n.replacen('E', "R", 1),
                        n if n.starts_with("Opmask") => format!("K{}", n[6..].trim_start_matches('0')),
                        n => n.to_owned(),
                    };
                    let mut said = digits(wide, &v.concat());
                    said.low_half = half && said.value.len() == 8;
                    out.push(said);
                }
            }
        }
    }
    out
}

/// Joins vectors of which QEMU 7.2 prints a part in each line: `Z00[3-2]=1:2` and `[1-0]=3:4`.
fn whole_vectors(lines: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for line in lines {
        match (line.split_once("]="), out.last_mut()) {
            (Some((part, value)), Some(last)) if part.starts_with('[') => last.push_str(&format!(":{value}")),
            (Some((part, value)), _) if part.starts_with('Z') => {
                out.push(format!("{}={value}", part.split('[').next().unwrap()));
            }
            _ => out.push(line.clone()),
        }
    }
    out
}

fn arm(line: &str) -> Vec<Said> {
    if let Some(v) = line.strip_prefix("FPSCR:") {
        return vec![digits("FPSCR", v.trim())];
    }
    let mut out = Vec::new();
    for (name, values) in assignments(line) {
        match (name.as_str(), values.as_slice()) {
            // halves of the doubles, which are compared themselves
            (n, _) if n.starts_with('s') => {}
            (n, [v]) if n.starts_with('d') => out.push(digits(n.replacen('d', "D", 1), v)),
            (n @ ("PSR" | "XPSR"), [v, flags, rest @ ..]) => {
                out.push(digits(n, v));
                let rest: Vec<&str> = rest.iter().map(String::as_str).filter(|w| *w != "NS" && *w != "S").collect();
                out.push(words(n, format!("{flags} {}", rest.join(" ")).trim_end()));
            }
            ("PSTATE", [v, flags, rest @ ..]) => {
                out.push(digits("PSTATE", v));
                let level = rest.iter().find(|w| w.starts_with("EL")).unwrap();
                out.push(words("PSTATE", &format!("{flags} {level}")));
            }
            // it is part of PSTATE
            ("BTYPE", _) => {}
            ("SVCR", [v, ..]) => out.push(digits("SVCR", v)),
            (n, v) => out.push(digits(n, &v.concat().replace(':', ""))),
        }
    }
    out
}

/// Reads names and values in turn.
fn in_turn(tokens: &[&str]) -> Vec<Said> {
    tokens.chunks_exact(2).map(|c| digits(c[0], c[1])).collect()
}

fn riscv(line: &str) -> Vec<Said> {
    let line = line.replace('=', " ");
    let tokens: Vec<&str> = line.split_whitespace().collect();
    match tokens.as_slice() {
        ["priv", mode] => vec![words("priv", mode)],
        t => in_turn(t),
    }
}

fn ppc(line: &str) -> Vec<Said> {
    let tokens: Vec<&str> = line.split_whitespace().filter(|t| !t.starts_with("CPU#")).collect();
    match tokens.as_slice() {
        [first, values @ ..] if first.starts_with("GPR") || (first.starts_with("FPR") && first.len() == 5) => {
            let start: usize = first[3..].parse().unwrap();
            let kind = &first[..3];
            values.iter().enumerate().map(|(i, v)| digits(format!("{kind}{:02}", start + i), v)).collect()
        }
        ["CR", v, rest @ ..] => {
            let letters: Vec<&str> =
                rest.iter().copied().filter(|t| t.len() < 4 && !matches!(*t, "[" | "]" | "RES")).collect();
            vec![digits("CR", v), words("CR", &format!("[{}]", letters.join(" ")))]
        }
        ["TB", rest @ ..] => {
            let mut out = vec![digits("TB", &rest[..2].concat())];
            out.extend(in_turn(&rest[2..]));
            out
        }
        t => in_turn(t),
    }
}

fn mips(line: &str) -> Vec<Said> {
    let tokens: Vec<&str> = line.split_whitespace().collect();
    if line.starts_with("pc=") {
        let mut out: Vec<Said> = assignments(line).iter().map(|(n, v)| digits(n.clone(), &v[0])).collect();
        let at = tokens.iter().position(|t| *t == "ds").unwrap();
        out.extend(["hflags", "btarget", "bcond"].iter().zip(&tokens[at + 1..]).map(|(n, v)| digits(*n, v)));
        return out;
    }
    match tokens.as_slice() {
        [first, rest @ ..] if first.starts_with("GPR") || *first == "CP0" => in_turn(rest),
        t => in_turn(t),
    }
}

fn s390x(line: &str) -> Vec<Said> {
    let tokens: Vec<&str> = line.split_whitespace().collect();
    if let ["PSW=mask", mask, "addr", address, "cc", cc] = tokens.as_slice() {
        // in two hexadecimal digits, of which the first is 0
        return vec![digits("PSWM", mask), words("PSWM", &format!("cc={}", &cc[1..])), digits("PSWA", address)];
    }
    assignments(line).into_iter().map(|(n, v)| digits(n, &v.concat())).collect()
}
