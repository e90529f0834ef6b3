//! What a guest said of itself: files of `/proc`, read by its last process.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// A table: what a row is about, and what is said of it.
pub type Rows = BTreeMap<String, String>;

/// The files, by their names.
pub struct Truth {
    sections: BTreeMap<String, Vec<u8>>,
    /// The process that read all this, and was not at rest.
    witness: String,
}

impl Truth {
    pub fn read(packed: &[u8]) -> Self {
        let all = zstd::decode_all(packed).unwrap();
        let mut rest = &all[..];
        let mut sections = BTreeMap::new();
        while let Some(text) = rest.strip_prefix(b"@@@BEGIN ") {
            let line = text.iter().position(|b| *b == b'\n').unwrap();
            let head = std::str::from_utf8(&text[..line]).unwrap();
            let (name, len) = head.rsplit_once(' ').unwrap();
            let (content, after) = text[line + 1..].split_at(len.parse().unwrap());
            sections.insert(name.to_owned(), content.to_vec());
            rest = after.strip_prefix(format!("\n@@@END {name}\n").as_bytes()).unwrap();
        }
        assert_eq!(rest, b"@@@EOF\n");
        let witness = String::from_utf8_lossy(&sections["witness"]).trim().to_owned();
        Self { sections, witness }
    }

    pub fn text(&self, name: &str) -> String {
        self.sections.get(name).map(|s| String::from_utf8_lossy(s).into_owned()).unwrap_or_default()
    }

    fn lines(&self, name: &str) -> Vec<String> {
        self.text(name).lines().map(str::to_owned).collect()
    }

    /// Returns the numbers in names that begin and end so.
    fn numbers(&self, start: &str, end: &str) -> BTreeSet<u64> {
        let names = self.sections.keys().filter_map(|k| k.strip_prefix(start)?.strip_suffix(end)?.parse().ok());
        names.collect()
    }

    fn processes(&self) -> Vec<u64> {
        self.numbers("pid/", "/links").into_iter().filter(|p| p.to_string() != self.witness).collect()
    }

    /// Returns the process and the thread of each task, with the fields of its `stat` after the name.
    fn tasks(&self) -> Vec<(u64, u64, Vec<String>)> {
        let mut out = Vec::new();
        for (name, content) in &self.sections {
            let parts: Vec<&str> = name.split('/').collect();
            if let ["pid", pid, "task", tid, "stat"] = parts[..]
                && pid != self.witness
            {
                let text = String::from_utf8_lossy(content).into_owned();
                let fields = text.rsplit_once(')').unwrap().1.split_whitespace().map(str::to_owned).collect();
                out.push((pid.parse().unwrap(), tid.parse().unwrap(), fields));
            }
        }
        out
    }

    fn comm(&self, pid: u64, tid: u64) -> String {
        let name = self.text(&format!("pid/{pid}/task/{tid}/comm"));
        // what a worker works for is no part of the name that the kernel keeps
        match name.trim_end_matches('\n') {
            n if n.starts_with("kworker/") => n.split(['-', '+']).next().unwrap_or_default().to_owned(),
            n => n.chars().take(15).collect(),
        }
    }

    fn link(&self, pid: u64, what: &str) -> Option<String> {
        let lines = self.lines(&format!("pid/{pid}/links"));
        let found = lines.iter().find_map(|l| l.strip_prefix(what)?.strip_prefix(' ')).map(unescaped);
        found.filter(|l| !l.starts_with('!'))
    }

    /// Returns the number of a process's namespace.
    fn space(&self, pid: u64, kind: &str) -> String {
        let link = self.link(pid, &format!("ns/{kind}")).unwrap();
        link.chars().filter(char::is_ascii_digit).collect()
    }

    /// Processes and threads. Names and states of workers change with their work, so that these are left out.
    pub fn ps(&self) -> Rows {
        let uids: BTreeMap<u64, (String, String)> = self
            .lines("uids")
            .iter()
            .map(|l| {
                let words: Vec<&str> = l.split(' ').collect();
                (words[0].parse().unwrap(), (words[1].to_owned(), words[2].to_owned()))
            })
            .collect();
        let mut out = Rows::new();
        for (pid, tid, stat) in self.tasks() {
            let name = self.comm(pid, tid);
            let kernel = stat[6].parse::<u64>().unwrap() & 0x20_0000 != 0;
            if name.starts_with("kworker/") {
                continue;
            }
            let state = if kernel || name == "tail" { "" } else { &stat[0] };
            let cmdline = self.text(&format!("pid/{pid}/task/{tid}/cmdline"));
            let arguments: Vec<&str> = cmdline.strip_suffix('\0').unwrap_or(&cmdline).split('\0').collect();
            let arguments = if pid == tid && !cmdline.is_empty() { format!("{arguments:?}") } else { String::new() };
            let (parent, uid) = &uids[&tid];
            let row = format!("{pid} {parent} {uid} {name:?} {kernel} {state} started {} {arguments}", stat[19]);
            out.insert(tid.to_string(), row);
        }
        out
    }

    pub fn lsmod(&self) -> Rows {
        let row = |l: &String| {
            let w: Vec<&str> = l.split_whitespace().collect();
            // the witness had its disk open
            let count = w[2].parse::<u64>().unwrap() - u64::from(w[0] == "virtio_blk");
            let mut users: Vec<&str> = w[3].split(',').filter(|u| !matches!(*u, "" | "-" | "[permanent]")).collect();
            users.sort_unstable();
            (w[0].to_owned(), format!("{} {count} {users:?} {} {}", w[1], w[4].to_lowercase(), w[5]))
        };
        self.lines("proc/modules").iter().map(row).collect()
    }

    /// Interfaces of the first network namespace by `ip addr`, those of others by name.
    pub fn interfaces(&self) -> Rows {
        let first = self.space(1, "net");
        let mut out = Rows::new();
        let (mut key, mut row, mut addresses) = (String::new(), String::new(), Vec::new());
        for line in self.lines("ip-addr").iter().map(String::as_str).chain(["0: end:"]) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if !line.starts_with(' ') {
                addresses.sort();
                if !key.is_empty() {
                    out.insert(std::mem::take(&mut key), format!("{row} {addresses:?}"));
                }
                addresses.clear();
                let name = words[1].trim_end_matches(':').split('@').next().unwrap_or_default();
                let mtu = words.iter().position(|w| *w == "mtu").map_or("", |n| words[n + 1]);
                let up = words.get(2).is_some_and(|f| f.trim_matches(['<', '>']).split(',').any(|f| f == "UP"));
                (key, row) = (format!("{first} {name}"), format!("{} up={up} {mtu}", words[0]));
            } else if words[0].starts_with("link/") {
                row += &format!(" {}", words.get(1).filter(|w| w.contains(':')).unwrap_or(&""));
            } else if words[0].starts_with("inet") {
                addresses.push(words[1].to_owned());
            }
        }
        for pid in self.numbers("net/", "/dev").into_iter().filter(|p| *p != 1) {
            let names = self.lines(&format!("net/{pid}/dev")).into_iter().skip(2);
            out.extend(names.map(|l| {
                let name = l.split(':').next().unwrap_or_default().trim().to_owned();
                (format!("{} {name}", self.space(pid, "net")), String::new())
            }));
        }
        out
    }

    /// Sockets of the internet and of `AF_UNIX`. What comes and goes in queues is left out but for TCP.
    pub fn sockets(&self) -> Rows {
        let mut owners: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
        for pid in self.processes() {
            for line in self.lines(&format!("pid/{pid}/fd")) {
                if let Some(inode) = line.rsplit_once(" socket:[").and_then(|(_, n)| n.strip_suffix(']')) {
                    let fd = line.split(' ').next().unwrap().parse().unwrap();
                    owners.entry(inode.to_owned()).or_default().push((pid, fd));
                }
            }
        }
        let of = |inode: &str| owners.get(inode).cloned().unwrap_or_default();
        let mut out = Rows::new();
        for pid in self.numbers("net/", "/unix") {
            let space = self.space(pid, "net");
            for kind in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"] {
                for line in self.lines(&format!("net/{pid}/{kind}")).iter().skip(1) {
                    let w: Vec<&str> = line.split_whitespace().collect();
                    let (tcp, number) = (kind.starts_with("tcp"), u8::from_str_radix(w[3], 16).unwrap());
                    let state = if tcp || number == 1 { STATES[usize::from(number)] } else { "unconnected" };
                    let hex = |t: &str| u64::from_str_radix(t, 16).unwrap();
                    let (sent, received) = w[4].split_once(':').unwrap();
                    let queues =
                        if tcp && number != 10 { format!("{} {}", hex(received), hex(sent)) } else { String::new() };
                    let key = format!("{space} {kind} {} {} {}", end(w[1]), end(w[2]), w[9]);
                    out.insert(key, format!("{state} {} {queues} {:?}", w[7], of(w[9])));
                }
            }
            for line in self.lines(&format!("net/{pid}/unix")).iter().skip(1) {
                let w: Vec<&str> = line.split_whitespace().collect();
                let listens = u64::from_str_radix(w[3], 16).unwrap() & 0x1_0000 != 0;
                let state = match w[5] {
                    _ if listens => "listening",
                    "01" => "unconnected",
                    _ => "established",
                };
                let kind = ["", "stream", "dgram", "raw", "rdm", "seqpacket"][w[4].parse::<usize>().unwrap()];
                // a path may have spaces
                let path = line.split_once(&format!(" {} ", w[6])).map_or("", |(_, p)| p);
                let key = format!("{space} unix {path} {}", w[6]);
                out.insert(key, format!("{kind} {state} {:?}", of(w[6])));
            }
        }
        out
    }

    /// Open files, and the places of each process. A log that grows has no position here.
    pub fn files(&self) -> Rows {
        let mut out = Rows::new();
        for pid in self.processes() {
            for place in ["cwd", "root", "exe"] {
                out.extend(self.link(pid, place).map(|l| (format!("{pid} {place}"), l)));
            }
            for line in self.lines(&format!("pid/{pid}/fd")) {
                let (fd, rest) = line.split_once(' ').unwrap();
                let (inode, path) = match rest.strip_prefix("mode=") {
                    Some(r) => {
                        let (facts, path) = r.split_once(' ').unwrap();
                        (facts.split(',').find_map(|f| f.strip_prefix("ino=")).unwrap().to_owned(), path)
                    }
                    None => (String::new(), rest),
                };
                let info = self.lines(&format!("pid/{pid}/fdinfo/{fd}"));
                let fact = |n: &str| info.iter().find_map(|l| l.strip_prefix(n)).unwrap_or_default().trim().to_owned();
                let path = unescaped(path);
                let position = if grows(&path) { String::new() } else { fact("pos:") };
                // the flag to close it with the next program is in a bitmap that these streams were cut without
                let flags = u64::from_str_radix(&fact("flags:"), 8).unwrap_or(0) & !0o2_000_000;
                let row = format!("{path} inode {inode} at {position} flags {flags:o} mount {}", fact("mnt_id:"));
                out.insert(format!("{pid} {fd}"), row);
            }
        }
        out
    }

    pub fn mounts(&self) -> Rows {
        let mut out = Rows::new();
        for pid in self.numbers("mountinfo/", "") {
            for line in self.lines(&format!("mountinfo/{pid}")) {
                let (before, after) = line.split_once(" - ").unwrap();
                let (b, a): (Vec<&str>, Vec<&str>) = (before.split(' ').collect(), after.split(' ').collect());
                let mut options: Vec<&str> = b[5].split(',').collect();
                options.sort_unstable();
                let read_only = a.get(2).is_some_and(|o| o.split(',').any(|o| o == "ro"));
                let row = format!(
                    "in {} {} {} on {} {} {} {read_only} {options:?}",
                    b[1],
                    b[2],
                    octal(b[3]),
                    octal(b[4]),
                    a[0],
                    octal(a[1])
                );
                out.insert(format!("{} {}", self.space(pid, "mnt"), b[0]), row);
            }
        }
        out
    }

    /// Returns the threads that have ended, and wait for their parents.
    pub fn zombies(&self) -> Vec<u64> {
        self.tasks().iter().filter(|(_, _, stat)| stat[0] == "Z").map(|(_, tid, _)| *tid).collect()
    }

    /// Stacks of threads that sleep, the innermost function first. Workers go on working.
    pub fn stacks(&self) -> BTreeMap<u64, Vec<String>> {
        let mut out = BTreeMap::new();
        for (pid, tid, stat) in self.tasks() {
            let text = self.text(&format!("pid/{pid}/task/{tid}/stack"));
            let frame = |l: &str| {
                let l = l.strip_prefix("[<0>] ")?;
                let (place, module) = l.split_once(' ').unwrap_or((l, ""));
                let place = place.split_once('/').map_or(place, |(p, _)| p);
                Some(format!("{place} {module}").trim_end().to_owned())
            };
            let frames: Vec<String> = text.lines().filter_map(frame).collect();
            if !frames.is_empty() && stat[0] == "S" && !self.comm(pid, tid).starts_with("kworker/") {
                out.insert(tid, frames);
            }
        }
        out
    }
}

/// The states of TCP by their numbers, in the words of `ss`.
const STATES: [&str; 13] = [
    "",
    "established",
    "syn-sent",
    "syn-recv",
    "fin-wait-1",
    "fin-wait-2",
    "time-wait",
    "unconnected",
    "close-wait",
    "last-ack",
    "listening",
    "closing",
    "new-syn-recv",
];

/// Returns whether a file is a log, which may have grown.
pub fn grows(path: &str) -> bool {
    ["/var/log", "/dev/kmsg", "/proc/kmsg"].iter().any(|p| path.starts_with(p))
}

/// Reads an address as `/proc/net` has it: words in the byte order of the machine.
fn end(text: &str) -> String {
    let (host, port) = text.split_once(':').unwrap();
    let word = |n: usize| u32::from_str_radix(&host[8 * n..8 * n + 8], 16).unwrap().to_le_bytes();
    let ip = match host.len() {
        8 => IpAddr::from(word(0)),
        _ => IpAddr::from(<[u8; 16]>::try_from([word(0), word(1), word(2), word(3)].concat()).unwrap()),
    };
    SocketAddr::new(ip, u16::from_str_radix(port, 16).unwrap()).to_string()
}

/// Undoes `\xNN`, which the witness and the kernel's log have.
pub fn unescaped(text: &str) -> String {
    coded(text, "\\x", 2, 16)
}

/// Undoes `\NNN`, which the kernel writes.
fn octal(text: &str) -> String {
    coded(text, "\\", 3, 8)
}

fn coded(text: &str, mark: &str, digits: usize, base: u32) -> String {
    let mut parts = text.split(mark);
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for p in parts {
        out.push(u8::from_str_radix(&p[..digits], base).unwrap());
        out.extend(&p.as_bytes()[digits..]);
    }
    String::from_utf8_lossy(&out).into_owned()
}
