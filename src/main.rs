//! `tautline`: see `tautline --help`, and the README.

use clap::Parser;
use std::process::ExitCode;
use tautline::cli::{self, Cli};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let wrong = error.use_stderr();
            let _ = error.print();
            return ExitCode::from(if wrong { cli::USAGE } else { cli::DONE });
        }
    };
    ExitCode::from(cli::run(cli))
}
