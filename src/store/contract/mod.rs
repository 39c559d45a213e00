//! What every database must do: one suite, run on SQLite and on PostgreSQL.

mod crash;
mod fixture;
mod jobs;
mod oracle;
mod sealed;
mod search;
mod sharers;
mod writes;

/// Runs each case of a module on both databases.
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case($crate::store::contract::fixture::Fixture::sqlite().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some(fixture) = $crate::store::contract::fixture::Fixture::postgres().await {
                    super::$case(fixture).await;
                }
            })*
        }
    };
}
use on_both;
