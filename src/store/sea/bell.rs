//! Tells the worker that a client has become due: in this process by a bell, and on PostgreSQL in the others by
//! NOTIFY. What is told is when to look; what is not told is found by whoever looks now and then by himself.

use super::error::failed;
use jiff::Timestamp;
use sea_orm::sqlx::postgres::{PgListener, PgPool};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, RuntimeErr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

const CHANNEL: &str = "tautline_jobs";
/// PostgreSQL lets those that notify commit one after another: a process does so this often at most. Whoever was
/// told of one job sees those that followed it when he comes for it.
const ANNOUNCE_EVERY: Duration = Duration::from_millis(50);
/// Pause before listening anew where that failed.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Rung {
    /// When the first of those that were told becomes due, and was not looked at yet.
    earliest: Mutex<Option<Timestamp>>,
    told: Notify,
}

impl Rung {
    fn ring(&self, due: Timestamp) {
        let mut earliest = self.earliest.lock().unwrap_or_else(PoisonError::into_inner);
        *earliest = Some(earliest.map_or(due, |known| known.min(due)));
        self.told.notify_one();
    }
}

pub(super) struct Bell {
    rung: Arc<Rung>,
    /// Names this process, which need not hear itself.
    own: String,
    announced: Mutex<Option<Instant>>,
    ears: OnceLock<Ears>,
}

/// Listening ends with the store.
struct Ears(AbortHandle);

impl Drop for Ears {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Bell {
    pub(super) fn new() -> Self {
        let own = uuid::Uuid::new_v4().simple().to_string();
        Bell { rung: Arc::default(), own, announced: Mutex::new(None), ears: OnceLock::new() }
    }

    /// Somebody is due then, and that is committed.
    pub(super) fn ring(&self, due: Timestamp) {
        self.rung.ring(due);
    }

    /// Waits for a ring that nobody has waited for yet.
    pub(super) async fn rung(&self) -> Timestamp {
        loop {
            let told = self.rung.told.notified();
            if let Some(due) = self.rung.earliest.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return due;
            }
            told.await;
        }
    }

    /// Tells the other processes, when and if this transaction commits.
    pub(super) async fn announce(&self, db: &DatabaseTransaction, due: Timestamp) -> crate::store::Result<()> {
        {
            let mut last = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_some_and(|last| last.elapsed() < ANNOUNCE_EVERY) {
                return Ok(());
            }
            *last = Some(Instant::now());
        }
        let text = format!("NOTIFY {CHANNEL}, '{} {}'", self.own, due.as_microsecond());
        db.execute_unprepared(&text).await.map(drop).map_err(failed)
    }

    /// Listens from now on, on a connection of its own.
    pub(super) fn listen(&self, pool: &PgPool) {
        self.ears.get_or_init(|| {
            let (rung, own, options) = (Arc::clone(&self.rung), self.own.clone(), pool.connect_options());
            let listening = tokio::spawn(async move {
                loop {
                    if let Err(error) = hear(&rung, &own, &options).await {
                        let error = failed(DbErr::Conn(RuntimeErr::SqlxError(error.into())));
                        tracing::warn!(%error, "not told of other processes' jobs: looking for them every second");
                    }
                    tokio::time::sleep(LISTEN_AGAIN).await;
                }
            });
            Ears(listening.abort_handle())
        });
    }
}

/// Until the connection is lost.
async fn hear(
    rung: &Rung,
    own: &str,
    options: &sea_orm::sqlx::postgres::PgConnectOptions,
) -> Result<(), sea_orm::sqlx::Error> {
    let pool = sea_orm::sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_with(options.clone())
        .await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    // What was told before is not told again.
    rung.ring(Timestamp::MIN);
    while let Some(notification) = listener.try_recv().await? {
        match notification.payload().split_once(' ') {
            Some((name, _)) if name == own => {}
            Some((_, due)) => {
                let due = due.parse().ok().and_then(|due| Timestamp::from_microsecond(due).ok());
                rung.ring(due.unwrap_or(Timestamp::MIN));
            }
            None => rung.ring(Timestamp::MIN),
        }
    }
    Ok(())
}
