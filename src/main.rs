//! The command `savevm-analyze`.
#![deny(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro)]

fn main() -> std::process::ExitCode {
    savevm_analyze::cli::main()
}
