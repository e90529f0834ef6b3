//! Prints 64 bytes of guest-physical memory: `cargo run --example memory -- vm.mig 0x1000`.

use savevm_analyze::{Gpa, SaveImage};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, path, address] = args.as_slice() else { return Err("usage: memory FILE 0xADDRESS".into()) };
    let address = u64::from_str_radix(address.trim_start_matches("0x"), 16)?;
    let image = SaveImage::open(path)?;
    let mut bytes = [0; 64];
    image.memory()?.read(Gpa(address), &mut bytes)?;
    for (i, line) in bytes.chunks(16).enumerate() {
        let hex: Vec<String> = line.iter().map(|b| format!("{b:02x}")).collect();
        println!("{:#x}  {}", address + 16 * i as u64, hex.join(" "));
    }
    Ok(())
}
