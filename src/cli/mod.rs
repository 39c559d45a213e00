//! The commands.

/// A line for who started the command. Whoever has stopped reading, as `head` does, is none of its business: `println!`
/// would panic.
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($words)*);
    }};
}

pub mod backtest;
pub mod backup;
pub mod conformance;
pub mod demo;
pub mod fit;
pub mod import;
pub mod simulate;

use crate::app;
use crate::config::{Config, Options};
use crate::detection::Constants;
use clap::builder::Resettable;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

pub const DONE: u8 = 0;
pub const FAILED: u8 = 1;
pub const USAGE: u8 = 2;

/// Notices when a psychotherapy client is quietly leaving.
#[derive(Debug, Parser)]
#[command(name = "tautline", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The server: FHIR API, findings, the page
    Serve(Options),
    /// Serves a synthetic caseload on this machine and prints what to open
    Demo(demo::Options),
    /// Detection over a history, offline
    Backtest(BacktestArgs),
    /// Learns constants from a history
    Fit(FitArgs),
    /// A synthetic caseload as FHIR NDJSON, with labels
    Simulate(SimulateArgs),
    /// Takes a history from files into a database, or into a running server
    Import(import::Options),
    /// Migrates the database and ends
    Migrate(Options),
    /// Copies the SQLite database to a file while the server goes on
    Backup(backup::Args),
    /// Writes what this server claims as an IG-style package folder
    Conformance {
        /// Folder to write into; created if missing
        folder: PathBuf,
    },
}

#[derive(clap::Args, Debug)]
struct BacktestArgs {
    /// FHIR NDJSON, Bundles, or folders of them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// ndjson: a line per appointment; html: a report
    #[arg(long, default_value = "ndjson", env = "TAUTLINE_FORMAT")]
    format: backtest::Format,
    /// Labels, one JSON a line: adds accuracy figures
    #[arg(long, env = "TAUTLINE_LABELS")]
    labels: Option<PathBuf>,
    /// Fitted constants [default: those shipped]
    #[arg(long, env = "TAUTLINE_CONSTANTS")]
    constants: Option<PathBuf>,
    /// IANA time zone of the service [default: UTC]
    #[arg(long, env = "TAUTLINE_TIME_ZONE")]
    time_zone: Option<String>,
    /// File for the accuracy figures as JSON
    #[arg(long, env = "TAUTLINE_SUMMARY")]
    summary: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
struct FitArgs {
    /// FHIR NDJSON, Bundles, or folders of them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Labels, one JSON a line: the calibration is learned too
    #[arg(long, env = "TAUTLINE_LABELS")]
    labels: Option<PathBuf>,
    /// File for the constants
    #[arg(long, env = "TAUTLINE_OUTPUT")]
    output: PathBuf,
    /// IANA time zone of the service [default: UTC]
    #[arg(long, env = "TAUTLINE_TIME_ZONE")]
    time_zone: Option<String>,
    /// For work on the model: searches its constants for so many minutes first; each path is a history of its own
    #[arg(long, value_name = "MINUTES", hide_short_help = true)]
    search: Option<f64>,
}

#[derive(clap::Args, Debug)]
struct SimulateArgs {
    #[arg(long, default_value_t = 100, env = "TAUTLINE_CLIENTS")]
    clients: usize,
    #[arg(long, default_value_t = 1, env = "TAUTLINE_SEED")]
    seed: u64,
    /// How the clients come to be: strain, regimes, chain, matched or mixed
    #[arg(long, default_value = "strain", env = "TAUTLINE_GENERATOR")]
    generator: simulate::Generator,
    /// Folder for resources.ndjson and labels.ndjson
    #[arg(long, env = "TAUTLINE_OUTPUT")]
    output: PathBuf,
}

/// A command that failed: one line that says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failed(pub String);

/// The command line. A variable of the environment that is set to nothing counts as not set.
///
/// # Errors
/// What clap says of it; [`wrong`] makes one line of that.
pub fn parse() -> Result<Cli, clap::Error> {
    let empty = |name: &std::ffi::OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    let mut command = Cli::command().mut_subcommands(|command| {
        command.mut_args(|arg| {
            if arg.get_env().is_some_and(empty) { arg.env(Resettable::<clap::builder::OsStr>::Reset) } else { arg }
        })
    });
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// A usage error in one line: what is wrong, and where to read on.
#[must_use]
pub fn wrong(error: &clap::Error) -> String {
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "tautline: say what to do: serve, demo, backtest, … (see tautline --help)".into();
    }
    let text = error.to_string();
    let said: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let said = said.join(" ");
    format!("tautline: {} (see tautline --help)", said.strip_prefix("error: ").unwrap_or(&said))
}

/// What is logged unless `TAUTLINE_LOG` says otherwise.
const LOG: &str = "info,sqlx=warn,sea_orm_migration=warn";

/// Runs a command and answers with the exit code.
#[must_use]
pub fn run(cli: Cli) -> u8 {
    let done = match cli.command {
        Command::Serve(options) => serve(&options),
        Command::Migrate(options) => migrate(&options),
        Command::Backup(args) => backup::run(&args).map_err(Failed),
        Command::Conformance { folder } => conformance::run(&folder).map(|_| ()).map_err(Failed),
        Command::Demo(options) => demo::run(&options),
        Command::Backtest(args) => backtest_command(args),
        Command::Fit(args) => fit_command(args),
        Command::Simulate(args) => simulate_command(args),
        Command::Import(options) => {
            telemetry("error");
            block_on(import::run(options))
        }
    };
    match done {
        Ok(()) => DONE,
        Err(failed) => {
            eprintln!("tautline: {failed}");
            FAILED
        }
    }
}

/// Logs to stderr: text on a terminal, JSON in a pipe. Never bodies, names, answers or tokens.
pub fn telemetry(default: &str) {
    use std::io::IsTerminal;
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("TAUTLINE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = if std::io::stderr().is_terminal() { builder.try_init() } else { builder.json().try_init() };
    // A second call (tests) keeps the first one's.
    let _ = set;
}

/// Runs `work` on actix's runtime.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    actix_web::rt::System::new().block_on(work)
}

fn serve(options: &Options) -> Result<(), Failed> {
    telemetry(LOG);
    let config = Config::read(options).map_err(|error| Failed(error.to_string()))?;
    block_on(async {
        let auth = config.auth;
        let running = app::start(config).await.map_err(|error| Failed(error.to_string()))?;
        tracing::info!(address = %running.address, base = running.state.config.fhir_base(), ?auth, "listening");
        running.until_signal().await.map_err(|error| Failed(error.to_string()))
    })
}

fn migrate(options: &Options) -> Result<(), Failed> {
    telemetry(LOG);
    let config = Config::read(options).map_err(|error| Failed(error.to_string()))?;
    let done = block_on(crate::store::connect(&config.database_url));
    done.map(drop).map_err(|error| Failed(format!("cannot open the database: {}", app::chain(&error))))
}

fn backtest_command(args: BacktestArgs) -> Result<(), Failed> {
    let BacktestArgs { paths, format, labels, constants, time_zone, summary } = args;
    let (constants, constants_name) = match &constants {
        None => (Constants::default(), "shipped".to_owned()),
        Some(path) => app::read_constants(path).map_err(|error| Failed(error.to_string()))?,
    };
    let time_zone = zone(time_zone)?;
    let options = backtest::Options { paths, format, labels, constants, constants_name, time_zone, summary };
    let mut out = std::io::BufWriter::new(Reader { closed: false });
    let done = backtest::run(&options, &mut out).and_then(|()| out.flush().map_err(|error| error.to_string()));
    // Whoever read has seen enough, as `head` does.
    if out.get_ref().closed { Ok(()) } else { done.map_err(Failed) }
}

/// Standard output, and whether its reader has gone.
struct Reader {
    closed: bool,
}

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = std::io::stdout().lock().write(bytes);
        self.closed |= written.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe);
        written
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stdout().lock().flush()
    }
}

fn zone(name: Option<String>) -> Result<jiff::tz::TimeZone, Failed> {
    let name = name.unwrap_or_else(|| "UTC".into());
    jiff::tz::TimeZone::get(&name).map_err(|_| Failed("time_zone must be an IANA name such as Europe/Berlin".into()))
}

fn fit_command(args: FitArgs) -> Result<(), Failed> {
    let FitArgs { paths, labels, output, time_zone, search: search_minutes } = args;
    fit::run(&fit::Options { paths, labels, output, time_zone: zone(time_zone)?, search_minutes }).map_err(Failed)
}

fn simulate_command(args: SimulateArgs) -> Result<(), Failed> {
    let SimulateArgs { clients, seed, generator, output } = args;
    simulate::run(&simulate::Options { clients, seed, output, generator }).map_err(Failed)
}
