//! Search terms that were read in another time zone, or by an earlier release, are read anew in the background: page by
//! page, behind requests, by one process at a time; a start in the middle goes on where the last one was.

use super::Pipeline;
use crate::error::Result;
use crate::fhir::parameters::{TERMS_RELEASE, terms};
use crate::store::{Method, Put, Version};
use jiff::SignedDuration;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Resources of one transaction.
const PAGE: usize = 200;
/// Whoever is at it says so at least this often, or another one goes on.
const LEASE: SignedDuration = SignedDuration::from_secs(30);
/// Until it is looked again whether another process is done, or the database back.
const PAUSE: Duration = Duration::from_secs(2);

/// What became of one try.
enum Step {
    More,
    Elsewhere,
    Done,
}

impl Pipeline {
    /// What terms are read by now.
    #[must_use]
    pub fn terms_mark(&self) -> String {
        format!("{TERMS_RELEASE} {}", self.zone.iana_name().unwrap_or("UTC"))
    }

    async fn reindex_some(&self, wanted: &str, mine: &mut bool) -> Result<Step> {
        let until = self.now() + LEASE;
        if !*mine {
            *mine = self.store.index_hold(wanted, self.now(), until).await?;
        }
        if !*mine {
            return Ok(if self.store.index_by(wanted).await? { Step::Elsewhere } else { Step::Done });
        }
        let stale = self.store.index_stale(PAGE).await?;
        if stale.versions.is_empty() {
            self.store.index_done(wanted).await?;
            return Ok(Step::Done);
        }
        let puts = stale.versions.into_iter().map(|version| self.with_terms(version)).collect();
        self.store.index_anew(wanted, puts, stale.upto, until).await?;
        Ok(Step::More)
    }

    /// A version as it would be put today, for its terms.
    fn with_terms(&self, version: Version) -> Put {
        let Version { key, version, updated, client, json, .. } = version;
        let terms = serde_json::from_str(&json).map(|resource| terms(key.kind, &resource, &self.term_context()));
        Put {
            key,
            version,
            updated,
            sender_updated: None,
            deleted: false,
            method: Method::Put,
            json,
            client,
            sharers: Vec::new(),
            event: None,
            hash: [0; 16],
            terms: terms.unwrap_or_default(),
            behind: false,
        }
    }
}

/// Until all are read anew, or `stop` says so.
pub async fn run(pipeline: Arc<Pipeline>, mut stop: watch::Receiver<bool>) {
    let wanted = pipeline.terms_mark();
    let (mut mine, mut told) = (false, false);
    while !*stop.borrow() {
        match pipeline.reindex_some(&wanted, &mut mine).await {
            Ok(Step::More) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::info!(
                        "search terms are read anew; searches by dates without a time may be off until then"
                    );
                }
                continue;
            }
            Ok(Step::Done) => {
                if told {
                    tracing::info!("search terms are read anew");
                }
                return;
            }
            Ok(Step::Elsewhere) => {}
            Err(error) => {
                mine = false;
                tracing::warn!(%error, "search terms could not be read anew; it is tried again");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            changed = stop.changed() => if changed.is_err() { return },
        }
    }
}
