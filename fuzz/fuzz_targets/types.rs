#![no_main]
#[path = "../../tests/props/types.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
