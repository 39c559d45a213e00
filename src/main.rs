//! `tautline`: see `tautline --help`, and the README.

use std::process::ExitCode;
use tautline::cli;

/// SQLite's allocations too (feature `override`): what it gains is in benches/README.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(error) => {
            if error.use_stderr() {
                eprintln!("{}", cli::wrong(&error));
                return ExitCode::from(cli::USAGE);
            }
            let _ = error.print();
            return ExitCode::from(cli::DONE);
        }
    };
    ExitCode::from(cli::run(cli))
}
