//! Kernels of whole streams, which are too large for `testdata/`: what is found without VMCOREINFO equals what is found with it.

use std::ops::Range;
use std::sync::Mutex;
use std::time::Instant;

use savevm_analyze::inspect::linux_hints;
use savevm_analyze::memory::PhysicalMemory;
use savevm_analyze::os::linux::find::{Located, locate};
use savevm_analyze::{Error, ErrorKind, Gpa, SaveImage};

/// Memory without some pages.
struct Without<'a> {
    memory: &'a dyn PhysicalMemory,
    hidden: Mutex<Vec<u64>>,
}

impl PhysicalMemory for Without<'_> {
    fn read(&self, address: Gpa, buf: &mut [u8]) -> savevm_analyze::Result<()> {
        let last = address.0.saturating_add(buf.len() as u64).saturating_sub(1);
        if self.hidden.lock().unwrap().iter().any(|p| (address.0 >> 12..=last >> 12).contains(&(p >> 12))) {
            return Err(Error::new(ErrorKind::Missing, "hidden"));
        }
        self.memory.read(address, buf)
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        self.memory.ranges()
    }
}

fn listed(l: &Located<'_>) -> Vec<(u64, char, String)> {
    let of_table = l.symbols.iter().filter(|s| !s.exported);
    let mut out: Vec<_> = of_table.map(|s| (s.address, s.kind, s.exact().to_owned())).collect();
    out.sort();
    out
}

/// Not a test of this directory: `GUESTS` has the paths of streams, separated by spaces.
#[test]
#[ignore = "needs streams of whole guests"]
fn kernels_are_found_without_vmcoreinfo() {
    let paths = std::env::var("GUESTS").unwrap();
    let mut wrong = 0;
    for path in paths.split_whitespace() {
        let image = SaveImage::options().keep_memory(u64::MAX).open(path).unwrap();
        let (memory, hints) = (image.memory().unwrap(), linux_hints(&image).unwrap());
        let begun = Instant::now();
        let with = locate(memory, &hints).unwrap();
        println!("{path}: {} symbols in {:?}, {}", with.symbols.len(), begun.elapsed(), with.release());
        let hidden = Without { memory, hidden: Mutex::default() };
        // the note, the page that it is copied from, and copies in the image
        let mut without = locate(&hidden, &hints);
        while let Ok(Some(found)) = without.as_ref().map(|l| l.found.as_ref()) {
            hidden.hidden.lock().unwrap().push(found.at.0);
            without = locate(&hidden, &hints);
        }
        let begun = Instant::now();
        let _ = locate(&hidden, &hints);
        let took = begun.elapsed();
        match without {
            Ok(without) => {
                let same = listed(&with) == listed(&without) && with.release() == without.release();
                wrong += i32::from(!same);
                println!("  without: {} in {took:?}, {}", if same { "same" } else { "DIFFERENT" }, without.release());
                without.steps.iter().for_each(|s| println!("    {s}"));
            }
            Err(e) => {
                wrong += 1;
                println!("  without: {e:?} in {took:?}");
            }
        }
    }
    assert_eq!(wrong, 0);
}
