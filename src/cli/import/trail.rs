//! What an import into a database leaves in the trail: who is known to have run it, and an event for each client and
//! transaction.

use crate::api::audit::put;
use crate::error::Result;
use crate::fhir::audit::{Asker, Audited, Interaction, event};
use crate::fhir::parameters::TermContext;
use crate::pipeline::ingest::{Change, Gate, Traced};
use crate::store::{Put, Query};
use jiff::Timestamp;
use std::collections::BTreeSet;

pub struct Importing {
    asker: Asker,
    terms: TermContext,
}

impl Importing {
    pub fn new(terms: TermContext) -> Self {
        let user = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).ok();
        let asker = Asker { client_id: Some("tautline import".into()), fhir_user: user, ..Asker::default() };
        Self { asker, terms }
    }
}

impl Gate for Importing {
    fn narrow(&self, _: &mut Query) -> Result<()> {
        Ok(())
    }

    fn admits(&self, _: &Change) -> Result<()> {
        Ok(())
    }

    fn trace(&self, writes: &[Traced], now: Timestamp) -> Vec<Put> {
        let clients: BTreeSet<Option<&String>> = writes
            .iter()
            .filter(|write| write.changed)
            .flat_map(|write| {
                let nobody = write.clients.is_empty().then_some(None);
                write.clients.iter().map(Some).chain(nobody)
            })
            .collect();
        let mut puts = Vec::with_capacity(clients.len());
        for client in clients {
            let id = uuid::Uuid::now_v7().to_string();
            let audited = Audited {
                id: &id,
                recorded: now,
                interaction: Interaction::Batch,
                asker: &self.asker,
                client: client.map(String::as_str),
                data: None,
                query: Some("tautline import"),
                status: 200,
            };
            puts.push(put(
                "AuditEvent",
                event(&audited),
                id.clone(),
                client.map(|id| id.as_str().into()),
                now,
                &self.terms,
            ));
        }
        puts
    }
}
