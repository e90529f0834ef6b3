//! Prints one field of one device: `cargo run --example field -- vm.mig cpu 0 env.eip`.

use savevm_analyze::SaveImage;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, path, device, instance, field] = args.as_slice() else {
        return Err("usage: field FILE DEVICE INSTANCE FIELD".into());
    };
    let image = SaveImage::open(path)?;
    let node = image.device(device, instance.parse()?)?.field(field)?;
    match node.as_u64() {
        Some(n) => println!("{n:#x}"),
        None => println!("{:?}", node.value),
    }
    Ok(())
}
