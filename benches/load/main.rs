//! Load on a FHIR server of this machine: ours, as the program itself on a fresh database, or any other by its base.
//!
//! ```sh
//! cargo bench --bench load                                   # speed: ours on SQLite, and the floor
//! cargo bench --bench load -- --postgres --instances 2       # two processes on one PostgreSQL
//! cargo bench --bench load -- --url http://127.0.0.1:8081/fhir --pid 4711
//! cargo bench --bench load -- growth --sizes 10000,100000    # what grows as the database does
//! cargo bench --bench load -- lag --seconds 60               # from a push to its findings, at half of the peak
//! cargo bench --bench load -- backlog --clients 2000         # everybody assessed anew, where nothing changes
//! cargo bench --bench load -- soak --seconds 3600            # a mixed day, a twentieth of it broken
//! ```
//!
//! The one who asks and the one who answers share the machine's processors; the floor has them for itself.

mod asking;
mod days;
mod floor;
mod growth;
mod own;
#[path = "../../tests/support/postgres.rs"]
mod postgres_support;
mod speed;
#[path = "../support/mod.rs"]
mod support;

use asking::Asker;
use clap::{Parser, ValueEnum};
use own::{Own, Place, resident_mb};

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum What {
    Speed,
    Growth,
    Lag,
    Backlog,
    Soak,
}

#[derive(Parser)]
struct Options {
    #[arg(value_enum, default_value = "speed")]
    what: What,
    /// Our server on PostgreSQL: TAUTLINE_TEST_POSTGRES_URL, or a throw-away one [default: SQLite]
    #[arg(long)]
    postgres: bool,
    /// Processes on one PostgreSQL
    #[arg(long, default_value_t = 1)]
    instances: usize,
    /// A FHIR server that runs already, by its base
    #[arg(long)]
    url: Option<String>,
    /// That server's process, to know its memory
    #[arg(long)]
    pid: Option<u32>,
    /// speed: transactions of 100 entries, by one client and by eight
    #[arg(long, default_value_t = 200)]
    bundles: usize,
    /// speed: single creates, and reads of each kind
    #[arg(long, default_value_t = 1000)]
    requests: usize,
    /// speed: stop after the transactions
    #[arg(long)]
    transactions_only: bool,
    /// growth: resources pushed before each measurement
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000])]
    sizes: Vec<usize>,
    /// lag, soak: how long
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// soak: requests a second
    #[arg(long, default_value_t = 40)]
    rate: u64,
    /// backlog: clients
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

/// Who is asked.
struct Target {
    asker: Asker,
    pids: Vec<u32>,
    /// Ours, with its database.
    own: Option<(Own, Place)>,
}

impl Target {
    async fn new(options: &Options) -> Option<Self> {
        if let Some(url) = &options.url {
            let asker = Asker::new(vec![url.trim_end_matches('/').to_owned()]);
            return Some(Self { asker, pids: options.pid.into_iter().collect(), own: None });
        }
        let place = if options.postgres { Place::postgres().await? } else { Place::sqlite() };
        let own = Own::start(&place, options.instances).await;
        let asker = Asker::new(own.roots.iter().map(|root| format!("{root}/fhir")).collect());
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        println!(
            "\n{}, {} process(es), {processors} processors; on an empty database it listens after {:.0} ms",
            place.name,
            options.instances,
            own.ready.as_secs_f64() * 1000.0
        );
        Some(Self { asker, pids: own.pids(), own: Some((own, place)) })
    }

    fn say_memory(&self, when: &str) {
        if !self.pids.is_empty() {
            println!("  ({when}: {:.0} MB resident)", resident_mb(&self.pids));
        }
    }
}

fn main() {
    let options = Options::parse();
    let _ = options.bench;
    tautline::smart::fetch::install_tls();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let Some(target) = Target::new(&options).await else { return };
        match options.what {
            What::Speed => speed::measure(&options, target).await,
            What::Growth => growth::measure(&options, &target).await,
            What::Backlog => growth::backlog(&options, &target).await,
            What::Lag => days::lag(&options, &target).await,
            What::Soak => days::soak(&options, &target).await,
        }
    });
}
