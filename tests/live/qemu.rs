//! A real QEMU and its monitor (QMP over a UNIX socket).

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long QEMU may take for one thing; emulation on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(120);
/// Main memory of the machines.
pub const RAM: u64 = 16 << 20;

/// Returns the QEMU to test with: `$QEMU_SYSTEM_X86_64`, the one in PATH, or the one that `install-qemu.sh` unpacked.
///
/// Without one the tests pass by, with a message, unless `SAVEVM_ANALYZE_REQUIRE_LIVE` is set.
pub fn find() -> Option<PathBuf> {
    let named = std::env::var_os("QEMU_SYSTEM_X86_64").filter(|v| !v.is_empty()).map(PathBuf::from);
    let unpacked = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("live-qemu").join("bin/qemu-system-x86_64");
    let candidates = named.into_iter().chain([PathBuf::from("qemu-system-x86_64"), unpacked]);
    for c in candidates {
        if Command::new(&c).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok() {
            return Some(c);
        }
    }
    let required = std::env::var_os("SAVEVM_ANALYZE_REQUIRE_LIVE").is_some_and(|v| !v.is_empty() && v != "0");
    assert!(!required, "SAVEVM_ANALYZE_REQUIRE_LIVE is set and there is no QEMU: run tests/live/install-qemu.sh");
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // straight to standard error: the test harness hides what passing tests print
        #[allow(clippy::disallowed_methods, reason = "a test is no part of the command")]
        let _ = writeln!(
            std::io::stderr(),
            "\nSKIPPED: the live tests need a qemu-system-x86_64, and none was found; tests/live/install-qemu.sh fetches one\n"
        );
    });
    None
}

/// A running QEMU with a directory of its own; both go when it is dropped.
pub struct Vm {
    process: Child,
    reader: BufReader<UnixStream>,
    writer: UnixStream,
    /// The first two numbers of QEMU's version.
    pub version: (u64, u64),
    /// Holds `ram.img`, the main memory, and what a test puts there.
    pub dir: tempfile::TempDir,
}

impl Vm {
    /// Starts `machine` with 16 MiB of main memory in a shared file, this firmware, and more arguments.
    pub fn start(qemu: &Path, machine: &str, firmware: &[u8], args: &[&str]) -> Self {
        Self::start_with(qemu, machine, firmware, args, true)
    }

    /// The same, with main memory shared or not.
    pub fn start_with(qemu: &Path, machine: &str, firmware: &[u8], args: &[&str], shared: bool) -> Self {
        let dir = tempfile::Builder::new().prefix("sva").tempdir().unwrap();
        let file = |name: &str| dir.path().join(name).into_os_string().into_string().unwrap();
        fs::write(file("firmware.bin"), firmware).unwrap();
        let mut c = Command::new(qemu);
        c.args(["-nodefaults", "-no-user-config", "-display", "none", "-accel", "tcg"]);
        c.args(["-bios", &file("firmware.bin")]);
        c.args(["-qmp", &format!("unix:{},server=on,wait=off", file("qmp"))]);
        c.args(["-m", &format!("{}M", RAM >> 20)]);
        if shared {
            let ram = file("ram.img");
            c.args(["-object", &format!("memory-backend-file,id=pc.ram,size={RAM},mem-path={ram},share=on")]);
            c.args(["-machine", &format!("{machine},memory-backend=pc.ram")]);
        } else {
            c.args(["-machine", machine]);
        }
        c.args(args).stdin(Stdio::null()).stdout(Stdio::null());
        c.stderr(File::create(file("stderr")).unwrap());
        let mut process = c.spawn().unwrap();
        let begun = Instant::now();
        let stream = loop {
            match UnixStream::connect(file("qmp")) {
                Ok(s) => break s,
                Err(_) => {
                    let gone = process.try_wait().unwrap();
                    let said = fs::read_to_string(file("stderr")).unwrap();
                    assert!(gone.is_none() && begun.elapsed() < PATIENCE, "QEMU does not start ({gone:?}): {said}");
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        let mut vm = Self { process, reader, writer: stream, version: (0, 0), dir };
        let greeting = vm.message();
        let part = |p: &str| greeting["QMP"]["version"]["qemu"][p].as_u64().unwrap();
        vm.version = (part("major"), part("minor"));
        vm.qmp("qmp_capabilities", json!({}));
        vm
    }

    /// The path of a file in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The file that is main memory.
    pub fn ram(&self) -> PathBuf {
        self.path("ram.img")
    }

    /// Writes into main memory from outside, as a guest's writes would leave it.
    pub fn poke(&self, at: u64, bytes: &[u8]) {
        File::options().write(true).open(self.ram()).unwrap().write_all_at(bytes, at).unwrap();
    }

    fn message(&mut self) -> Value {
        let mut line = String::new();
        let got = self.reader.read_line(&mut line);
        let said = || fs::read_to_string(self.dir.path().join("stderr")).unwrap();
        assert!(got.as_ref().is_ok_and(|n| *n > 0), "the monitor is silent ({got:?}); QEMU said: {}", said());
        serde_json::from_str(&line).unwrap()
    }

    /// Runs a command and returns its answer, or its error.
    pub fn try_qmp(&mut self, command: &str, arguments: Value) -> Result<Value, String> {
        let request = json!({ "execute": command, "arguments": arguments });
        self.writer.write_all(format!("{request}\n").as_bytes()).unwrap();
        loop {
            let mut m = self.message();
            if let Some(answer) = m.get_mut("return") {
                return Ok(answer.take());
            }
            if let Some(e) = m.get("error") {
                return Err(format!("{command}: {e}"));
            }
        }
    }

    /// Runs a command that must succeed.
    pub fn qmp(&mut self, command: &str, arguments: Value) -> Value {
        self.try_qmp(command, arguments).unwrap()
    }

    /// Runs a command of the human monitor.
    pub fn hmp(&mut self, line: &str) -> String {
        self.qmp("human-monitor-command", json!({ "command-line": line })).as_str().unwrap().to_owned()
    }

    /// Turns capabilities on; `false` when this QEMU has not all of them.
    pub fn capabilities(&mut self, names: &[&str]) -> bool {
        let list: Vec<Value> = names.iter().map(|n| json!({ "capability": n, "state": true })).collect();
        self.try_qmp("migrate-set-capabilities", json!({ "capabilities": list })).is_ok()
    }

    /// Sets migration parameters.
    pub fn parameters(&mut self, parameters: Value) {
        self.qmp("migrate-set-parameters", parameters);
    }

    /// Migrates, and returns the last answer of `query-migrate`.
    pub fn migrate(&mut self, uri: &str) -> Value {
        self.migrate_for(uri, 0)
    }

    /// Migrates slowly until memory was passed over `rounds` times, then lets the migration come to its end.
    pub fn migrate_for(&mut self, uri: &str, mut rounds: u64) -> Value {
        if rounds > 0 {
            self.parameters(json!({ "max-bandwidth": 4 << 20, "downtime-limit": 1 }));
        }
        self.qmp("migrate", json!({ "uri": uri }));
        let begun = Instant::now();
        loop {
            let q = self.qmp("query-migrate", json!({}));
            match q["status"].as_str().unwrap_or("") {
                "completed" => return q,
                "failed" | "cancelled" => panic!("the migration to {uri} failed: {q}"),
                _ => assert!(begun.elapsed() < PATIENCE, "the migration to {uri} does not end: {q}"),
            }
            if rounds > 0 && q["ram"]["dirty-sync-count"].as_u64().is_some_and(|n| n >= rounds) {
                self.parameters(json!({ "max-bandwidth": 4_u64 << 30, "downtime-limit": 5000 }));
                rounds = 0;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Migrates to a file through a pipe, as every version can, and returns its path.
    pub fn save(&mut self, name: &str) -> PathBuf {
        let path = self.path(name);
        self.migrate(&format!("exec:cat > {}", path.display()));
        path
    }

    /// Waits until an incoming migration is loaded.
    pub fn wait_loaded(&mut self) {
        let begun = Instant::now();
        while self.qmp("query-status", json!({}))["status"] == "inmigrate" {
            assert!(begun.elapsed() < PATIENCE, "the stream does not load");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
