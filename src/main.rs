//! The command `savevm-analyze`.

fn main() -> std::process::ExitCode {
    savevm_analyze::cli::main()
}
