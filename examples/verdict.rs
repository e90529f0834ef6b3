//! Says whether a saved state is sound, and why not: `cargo run --example verdict -- vm.mig`.

use savevm_analyze::budget::Budget;
use savevm_analyze::ram::PageStats;
use savevm_analyze::{OpenOptions, inspect};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: verdict FILE")?;
    let budget = Budget::default();
    let mut pages = PageStats::new(&budget);
    let image = OpenOptions::new().budget(budget).pages(&mut pages).open(path)?;
    let check = inspect::check(&image, &pages)?;
    for finding in check.findings.list() {
        println!("{}: {}", finding.level.name(), finding.message);
    }
    println!("{}", if check.sound { "sound" } else { "not sound" });
    Ok(())
}
