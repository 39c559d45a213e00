//! `tautline backup`: a copy of the SQLite database as it is at one instant, while the server goes on.

use crate::config::{Config, Options};
use crate::store;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// File to write; must not exist yet
    output: PathBuf,
    #[command(flatten)]
    options: Options,
}

/// # Errors
/// A file that exists already or cannot be written, a database that is not SQLite or cannot be read: one line.
pub fn run(args: &Args) -> Result<(), String> {
    let config = Config::read(&args.options).map_err(|error| error.to_string())?;
    let done = super::block_on(store::backup(&config.database_url, &args.output));
    done.map_err(|error| format!("no backup was made: {}", crate::app::chain(&error)))?;
    say!("{}", args.output.display());
    Ok(())
}
