//! Lists the devices of a saved state: `cargo run --example devices -- vm.mig`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: devices FILE")?;
    let image = savevm_analyze::SaveImage::open(path)?;
    for device in image.devices() {
        let device = device?;
        println!("{} ({}): {} bytes", device.name(), device.instance_id(), device.payload.len());
    }
    Ok(())
}
