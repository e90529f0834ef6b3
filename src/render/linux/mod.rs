//! What a Linux guest says of itself: tables for people, documents for machines.

#[cfg(feature = "cli")]
pub mod bt;
#[cfg(feature = "cli")]
pub mod bt_json;
#[cfg(feature = "cli")]
pub mod files;
#[cfg(feature = "cli")]
pub mod files_json;
#[cfg(feature = "cli")]
pub mod guest;
#[cfg(feature = "cli")]
pub mod guest_json;
pub mod head_json;
#[cfg(feature = "cli")]
pub mod lsmod;
pub mod lsmod_json;
#[cfg(feature = "cli")]
pub mod net;
#[cfg(feature = "cli")]
pub mod net_json;
#[cfg(feature = "cli")]
pub mod ps;
pub mod ps_json;
pub mod sym_json;
