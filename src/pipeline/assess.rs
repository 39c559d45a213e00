//! Assessment: a client's facts to timeline, course and findings, and the writes that publish what changed.

use super::{MODEL, Pipeline};
use crate::detection;
use crate::domain::build::{VersionedFact, timeline};
use crate::domain::fact::Fact;
use crate::domain::{Assessment, Course, Signal, Source, SourceKind, Timeline};
use crate::error::Result;
use crate::fhir::parameters::terms;
use crate::fhir::person::person;
use crate::fhir::read;
use crate::fhir::write::{self, ExistingFinding, WriteContext};
use crate::pipeline::ingest::stamp;
use crate::store::{Job, Key, Method, Put, StoredEvent};
use crate::words::{At, Manner, Person, pattern_sentence, signal_sentence};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// Types that hold findings.
pub const FINDINGS: &[&str] = &["Flag", "Observation", "Provenance"];
/// What is known at an instant counts from the next millisecond on: knowledge is strict.
const JUST_AFTER: SignedDuration = SignedDuration::from_millis(1);
/// Pushes go before findings, so long at a time …
const PATIENCE: Duration = Duration::from_millis(100);
/// … until findings are later than this: then they share.
const LATE: SignedDuration = SignedDuration::from_secs(5);
const PATIENCE_LATE: Duration = Duration::from_millis(25);
/// Times the Device is tried anew where another process came first.
const DEVICE_TRIES: usize = 3;
/// Steps that [`settled`] follows at most: silence limits and weekly steps of several years.
const SETTLE_STEPS_MAX: usize = 400;

/// A client's record and what is made of it.
pub struct Assessed {
    pub timeline: Timeline,
    pub course: Course,
}

/// One job's outcome, to be published.
pub struct Draft {
    pub job: Job,
    /// Findings that changed.
    pub puts: Vec<Put>,
    /// When time alone changes the picture.
    pub next: Option<Timestamp>,
}

impl Pipeline {
    /// The timeline of one client, from the facts that are kept.
    ///
    /// # Errors
    /// The database.
    pub async fn timeline(&self, client: &str) -> Result<Timeline> {
        let events = self.store.events(client).await?;
        let mut facts = Vec::with_capacity(events.len());
        for event in events {
            facts.extend(self.versioned(event, client).await?);
        }
        Ok(timeline(facts, &self.measures()))
    }

    async fn versioned(&self, event: StoredEvent, client: &str) -> Result<Option<VersionedFact>> {
        let Some(kind) = source_kind(event.key.kind) else { return Ok(None) };
        let fact = self.fact(&event, Some(client)).await?;
        Ok(Some(VersionedFact {
            source: Source::new(kind, event.key.id),
            version: event.version,
            current: event.current,
            deleted: event.deleted,
            sender_updated: event.sender_updated,
            received: Some(event.received),
            fact,
        }))
    }

    async fn fact(&self, event: &StoredEvent, client: Option<&str>) -> Result<Option<Fact>> {
        let context = self.read_context();
        match read::recall(&event.event, &context) {
            // Kept by an older release, or read in another time zone: read again from the resource.
            None if !event.event.is_empty() && !event.deleted => {
                let stored = self.store.read_version(&event.key, event.version).await?;
                let json = stored.and_then(|version| serde_json::from_str(&version.json).ok());
                Ok(json.and_then(|resource| read::fact_of(&resource, client, &context)))
            }
            fact => Ok(fact),
        }
    }

    /// What reading facts depends on.
    #[must_use]
    pub fn read_context(&self) -> read::ReadContext {
        read::ReadContext { zone: self.zone.clone() }
    }

    /// The assessment of one client as of an instant. Nothing is stored.
    ///
    /// # Errors
    /// The database.
    pub async fn look(&self, client: &str, as_of: Timestamp) -> Result<Assessed> {
        let timeline = self.timeline(client).await?;
        let course = detection::assess(&timeline, as_of, &self.constants);
        Ok(Assessed { timeline, course })
    }

    /// Who the client is, for words and page; nameless where there is no Patient.
    ///
    /// # Errors
    /// The database.
    pub async fn person(&self, client: &str) -> Result<Person> {
        let stored = self.store.read(&Key { kind: "Patient", id: client.into() }).await?;
        let json =
            stored.filter(|version| !version.deleted).and_then(|version| serde_json::from_str(&version.json).ok());
        Ok(json.map_or_else(Person::default, |patient| person(&patient)))
    }

    /// Assesses a client: what is to be written, nothing of it written yet.
    ///
    /// # Errors
    /// The database.
    pub async fn draft(&self, job: Job) -> Result<Draft> {
        let now = self.now();
        let client: &str = &job.client;
        let timeline = self.timeline(client).await?;
        let (as_of, course) = settled(&timeline, now, |at| detection::assess(&timeline, at, &self.constants));
        let person = Person { given: None, ..self.person(client).await? };
        let sentences = Spoken { person, manner: Manner { time_zone: self.zone.clone(), ..Manner::default() } };
        let context = self.write_context(now, Some(as_of), &sentences);
        let desired = write::findings(client, &course, &context);

        // Read before the transaction, so that nobody waits for our sums: findings are written by whoever holds the
        // job alone, and a version that has moved on all the same is a conflict.
        let existing: Vec<ExistingFinding> = self
            .store
            .heads(client, FINDINGS)
            .await?
            .into_iter()
            .filter(|head| !head.deleted)
            .map(|head| ExistingFinding {
                kind: head.key.kind,
                id: head.key.id,
                version: head.version,
                hash: head.hash,
                json: head.json,
            })
            .collect();
        let changes = write::reconcile(&desired, &existing);
        let terms_context = self.term_context();
        let puts: Vec<Put> = changes
            .into_iter()
            .map(|change| {
                let mut resource = change.resource;
                let version = change.replaces.map_or(1, |version| version + 1);
                let terms = terms(change.kind, &resource, &terms_context);
                stamp(&mut resource, &change.id, version, now);
                Put {
                    key: Key { kind: change.kind, id: change.id.into() },
                    version,
                    updated: now,
                    sender_updated: None,
                    deleted: false,
                    method: Method::Put,
                    json: resource.to_string().into(),
                    client: Some(Arc::clone(&job.client)),
                    sharers: Vec::new(),
                    event: None,
                    hash: change.hash,
                    terms,
                    behind: false,
                }
            })
            .collect();
        // Strictly after the instant itself, so that what it brings is known.
        let next = course.next_change.map(|at| at + JUST_AFTER + JUST_AFTER);
        Ok(Draft { job, puts, next })
    }

    /// Publishes what changed, in one transaction with the jobs' ends.
    ///
    /// # Errors
    /// The database; the jobs then stay and are tried again.
    pub async fn publish(&self, drafts: Vec<Draft>) -> Result<()> {
        let mut puts = Vec::new();
        let mut ends = Vec::with_capacity(drafts.len());
        for draft in drafts {
            puts.extend(draft.puts);
            ends.push((draft.job, draft.next));
        }
        let oldest = ends.iter().map(|(job, _)| job.due).min();
        let late = oldest.is_some_and(|due| self.now().duration_since(due) > LATE);
        let mut tx = self.store.begin_behind(if late { PATIENCE_LATE } else { PATIENCE }).await?;
        if !puts.is_empty() {
            tx.put(puts).await?;
        }
        tx.finish(&ends).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The Device that findings name, written once a release and time zone. With another time zone than before, days
    /// begin and end elsewhere: everyone is assessed again.
    ///
    /// # Errors
    /// The database.
    pub async fn publish_device(&self) -> Result<()> {
        // Processes that start together write the same one: the others find it there.
        for _ in 0..DEVICE_TRIES {
            match self.publish_device_once().await {
                Err(error) if error.status == 409 => {}
                done => return done,
            }
        }
        self.publish_device_once().await
    }

    async fn publish_device_once(&self) -> Result<()> {
        let now = self.now();
        let sentences = Spoken { person: Person::default(), manner: Manner::default() };
        let device = write::device(&self.write_context(now, None, &sentences), &self.zone);
        let key = Key { kind: "Device", id: device.id.as_str().into() };
        let mut tx = self.store.begin().await?;
        let head = tx.heads(std::slice::from_ref(&key)).await?.pop();
        if head.as_ref().is_some_and(|head| head.hash == device.hash && !head.deleted) {
            return Ok(());
        }
        if head.as_ref().is_some_and(|head| write::device_zone(&head.json).as_deref() != self.zone.iana_name()) {
            tx.enqueue_all(now).await?;
        }
        let version = head.map_or(1, |head| head.last_version + 1);
        let mut resource = device.resource;
        let terms = terms("Device", &resource, &self.term_context());
        stamp(&mut resource, &device.id, version, now);
        let put = Put {
            key,
            version,
            updated: now,
            sender_updated: None,
            deleted: false,
            method: Method::Put,
            json: resource.to_string().into(),
            client: None,
            sharers: Vec::new(),
            event: None,
            hash: device.hash,
            terms,
            behind: false,
        };
        tx.put(vec![put]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// What findings need to know beside the course.
    #[must_use]
    pub fn write_context<'a>(
        &'a self,
        recorded: Timestamp,
        open_effective: Option<Timestamp>,
        sentences: &'a Spoken,
    ) -> WriteContext<'a> {
        WriteContext {
            software: env!("CARGO_PKG_VERSION"),
            model: MODEL,
            constants: self.constants_name.as_deref().unwrap_or("shipped"),
            recorded,
            open_effective,
            sentences,
        }
    }

    /// The measures that stored Questionnaires add to those shipped.
    ///
    /// # Errors
    /// The database.
    pub async fn load_measures(&self) -> Result<()> {
        let stored = self.store.events_of("Questionnaire").await?;
        let mut questionnaires = Vec::new();
        for event in stored.into_iter().filter(|event| event.current && !event.deleted) {
            if let Some(Fact::Questionnaire(questionnaire)) = self.fact(&event, None).await? {
                questionnaires.push((event.key.id, questionnaire));
            }
        }
        let measures = read::shipped().with_questionnaires(questionnaires);
        match self.measures.write() {
            Ok(mut slot) => *slot = Arc::new(measures),
            Err(poisoned) => *poisoned.into_inner() = Arc::new(measures),
        }
        Ok(())
    }
}

fn source_kind(kind: &str) -> Option<SourceKind> {
    match kind {
        "Appointment" => Some(SourceKind::Appointment),
        "Encounter" => Some(SourceKind::Encounter),
        "EpisodeOfCare" => Some(SourceKind::EpisodeOfCare),
        "Observation" => Some(SourceKind::Observation),
        "Patient" => Some(SourceKind::Patient),
        "QuestionnaireResponse" => Some(SourceKind::QuestionnaireResponse),
        "Task" => Some(SourceKind::Task),
        _ => None,
    }
}

/// The latest instant up to `now` at which anything could have changed, and the course as of then. Between two
/// such instants the open assessment stands, so that what is published is a function of the record and not of
/// the moment at which the worker came by.
fn settled(timeline: &Timeline, now: Timestamp, assess: impl Fn(Timestamp) -> Course) -> (Timestamp, Course) {
    let last = instants(timeline).filter(|at| *at + JUST_AFTER <= now).max();
    let mut as_of = last.map_or(now, |at| at + JUST_AFTER);
    let mut course = assess(as_of);
    for _ in 0..SETTLE_STEPS_MAX {
        let Some(next) = course.next_change.map(|at| at + JUST_AFTER).filter(|next| *next <= now && *next > as_of)
        else {
            break;
        };
        as_of = next;
        course = assess(as_of);
    }
    (as_of, course)
}

/// The sentences of `crate::words` as findings carry them.
pub struct Spoken {
    pub person: Person,
    pub manner: Manner,
}

impl Spoken {
    fn place(course: &Course, assessment: &Assessment) -> At {
        course.steps.iter().position(|step| std::ptr::eq(step, assessment)).map_or(At::Open, At::Step)
    }
}

impl write::Sentences for Spoken {
    fn signal(&self, course: &Course, assessment: &Assessment, signal: &Signal) -> Option<String> {
        let at = Self::place(course, assessment);
        Some(signal_sentence(course, at, signal.kind, &self.person, &self.manner)).filter(|text| !text.is_empty())
    }

    fn pattern(&self, course: &Course, assessment: &Assessment) -> Option<String> {
        let at = Self::place(course, assessment);
        Some(pattern_sentence(course, at, &self.person, &self.manner)).filter(|text| !text.is_empty())
    }
}

/// Every instant at which something of the record happened, was due, or could first be known.
fn instants(timeline: &Timeline) -> impl Iterator<Item = Timestamp> + '_ {
    let slots = timeline.slots.iter().flat_map(|slot| {
        let moves = slot.moves.iter().flat_map(|one| [one.from, one.known]);
        [Some(slot.start), slot.booked, Some(slot.outcome_known)].into_iter().flatten().chain(moves)
    });
    let forms = timeline.administrations.iter().flat_map(|form| [form.at, form.safety_told]);
    let dues = timeline.dues.iter().flat_map(|due| [Some(due.asked), due.due]).flatten();
    let homework =
        timeline.homework.iter().flat_map(|task| [Some(task.assigned), task.due, task.state_known]).flatten();
    let judgements = timeline.judgements.iter().map(|judgement| judgement.known);
    let endings = timeline.endings.iter().map(|ending| ending.at);
    slots.chain(forms).chain(dues).chain(homework).chain(judgements).chain(endings)
}
