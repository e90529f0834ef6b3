//! What the user can try after an error, with the options of this command.

use crate::error::Remedy;

/// Returns a remedy in words.
pub fn words(remedy: &Remedy) -> String {
    match remedy {
        Remedy::ChooseSnapshot(_) => remedy.to_string().replacen("by name or id", "with FILE@NAME or --snapshot ID", 1),
        Remedy::PlaceBlocks => {
            "extract the RAM blocks one by one (--format raw), or supply their addresses with --map BLOCK=ADDRESS"
                .to_owned()
        }
        Remedy::ExtractBlocks => "extract the RAM blocks one by one with --format raw".to_owned(),
        Remedy::SupplyOffset(Some(n)) => format!("a migration stream seems to begin at {n:#x}: try --offset {n:#x}"),
        Remedy::SupplyOffset(None) => {
            "QEMU's `file:PATH,offset=N` leaves zeros before the stream: supply that N with --offset".to_owned()
        }
        Remedy::SupplySchema => "supply a description with --schema".to_owned(),
        Remedy::RaiseMemoryLimit => "--max-memory raises the limit".to_owned(),
        Remedy::Overwrite => "--force overwrites it".to_owned(),
        other => other.to_string(),
    }
}
