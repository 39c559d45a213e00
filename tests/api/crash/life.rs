//! One client's record as the one who pushes it knows it: what stands for sure, and what may stand.

use crate::process::{self, Process};
use crate::story::{said_later, withdrawing};
use reqwest::Client;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Transactions about one client.
const STEPS_MAX: usize = 12;

/// Current resources by `Type/id`, without `meta`.
type Record = BTreeMap<String, Value>;

/// A small generator: the same seed, the same story.
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

pub struct Life {
    pub id: String,
    story: Vec<Value>,
    /// Transactions that took place, in order.
    pub bundles: Vec<Value>,
    stands: Record,
    /// The transaction whose answer did not come.
    pending: Option<Value>,
}

impl Life {
    pub fn new(id: String, start: &str) -> Self {
        let story = withdrawing(&id, start, 3);
        Self { id, story, bundles: Vec::new(), stands: Record::new(), pending: None }
    }

    pub fn is_over(&self) -> bool {
        self.bundles.len() >= STEPS_MAX
    }

    /// The story in two parts, then corrections, moves and deletions of a few resources at once.
    fn next(&self, dice: &mut Dice) -> Value {
        let half = self.story.len() / 2;
        let entries: Vec<Value> = match self.bundles.len() {
            0 => self.story[..half].iter().map(put).collect(),
            1 => self.story[half..].iter().map(put).collect(),
            step => {
                let first = 1 + dice.roll(self.story.len() as u64 - 6) as usize;
                let few = self.story[first..first + 4].iter();
                few.map(
                    |resource| if dice.roll(4) == 0 { delete(resource) } else { put(&amended(resource, step, dice)) },
                )
                .collect()
            }
        };
        json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    }

    /// Pushes the next transaction; false where no answer came.
    pub async fn push(&mut self, client: &Client, base: &str, dice: &mut Dice) -> bool {
        let bundle = self.next(dice);
        let request = client.post(format!("{base}/fhir")).header("content-type", "application/fhir+json");
        match request.body(bundle.to_string()).send().await {
            Ok(answer) if answer.status().is_success() => {
                self.took_place(bundle);
                true
            }
            Ok(answer) => {
                assert!(answer.status().is_server_error(), "{}: {}", self.id, answer.status());
                self.pending = Some(bundle);
                false
            }
            Err(_) => {
                self.pending = Some(bundle);
                false
            }
        }
    }

    fn took_place(&mut self, bundle: Value) {
        self.stands = after(&self.stands, &bundle);
        self.bundles.push(bundle);
    }

    /// What the server has is what was acknowledged; or that and the whole of what was not.
    pub async fn check(&mut self, client: &Client, process: &Process) {
        let found = self.found(client, process).await;
        if let Some(bundle) = self.pending.take()
            && found == after(&self.stands, &bundle)
        {
            self.took_place(bundle);
            return;
        }
        for (url, resource) in &self.stands {
            assert_eq!(found.get(url), Some(resource), "{url} was acknowledged");
        }
        assert_eq!(found.len(), self.stands.len(), "{}: {:?}", self.id, found.keys().collect::<Vec<_>>());
    }

    async fn found(&self, client: &Client, process: &Process) -> Record {
        let mut found = Record::new();
        for (kind, by) in
            [("Patient", "_id"), ("Appointment", "patient"), ("QuestionnaireResponse", "patient"), ("Task", "patient")]
        {
            let all = process::all(client, process, &format!("{kind}?{by}={}&_count=200", self.id)).await;
            found.extend(all.iter().map(|resource| (url(resource), bare(resource))));
        }
        found
    }
}

fn amended(resource: &Value, step: usize, dice: &mut Dice) -> Value {
    let mut resource = said_later(resource, step as i64);
    resource["language"] = json!(["de", "en", "fr", "it"][dice.roll(4) as usize]);
    match resource["resourceType"].as_str() {
        Some("Task") => resource["status"] = json!(["completed", "requested", "in-progress"][step % 3]),
        Some("Appointment") => resource["minutesDuration"] = json!(40 + step),
        _ => {}
    }
    resource
}

pub fn url(resource: &Value) -> String {
    let text = |key: &str| resource[key].as_str().unwrap_or_default();
    format!("{}/{}", text("resourceType"), text("id"))
}

/// Without what is the server's to give.
pub fn bare(resource: &Value) -> Value {
    let mut resource = resource.clone();
    if let Some(object) = resource.as_object_mut() {
        object.remove("meta");
    }
    resource
}

fn put(resource: &Value) -> Value {
    json!({"resource": resource, "request": {"method": "PUT", "url": url(resource)}})
}

fn delete(resource: &Value) -> Value {
    json!({"request": {"method": "DELETE", "url": url(resource)}})
}

fn after(stands: &Record, bundle: &Value) -> Record {
    let mut record = stands.clone();
    for entry in bundle["entry"].as_array().into_iter().flatten() {
        match entry.get("resource") {
            Some(resource) => record.insert(url(resource), bare(resource)),
            None => record.remove(entry["request"]["url"].as_str().unwrap_or_default()),
        };
    }
    record
}
