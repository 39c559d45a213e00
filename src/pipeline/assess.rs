//! Assessment: a client's facts to timeline, course and findings, and the writes that publish what changed.

use super::standing::{Print, Voice, print, settled};
use super::{MODEL, MeasuresInUse, Pipeline};
use crate::detection;
use crate::domain::build::{VersionedFact, timeline};
use crate::domain::fact::Fact;
use crate::domain::{Assessment, Course, Measures, Signal, Source, SourceKind, Timeline};
use crate::error::Result;
use crate::fhir::parameters::terms;
use crate::fhir::person::person;
use crate::fhir::read;
use crate::fhir::write::{self, Change, ExistingFinding, WriteContext};
use crate::pipeline::ingest::stamp;
use crate::store::{End, Job, Key, Mark, Method, Put, StoredEvent, Version};
use crate::words::{At, Manner, Person, pattern_sentence, signal_sentence};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Types that hold findings.
pub const FINDINGS: &[&str] = &["Flag", "Observation", "Provenance"];
/// Pushes go before findings, so long at a time …
const PATIENCE: Duration = Duration::from_millis(100);
/// … until findings are later than this: then they share.
const LATE: SignedDuration = SignedDuration::from_secs(5);
const PATIENCE_LATE: Duration = Duration::from_millis(25);
/// Times the Device is tried anew where another process came first.
const DEVICE_TRIES: usize = 3;
/// A client's record and what is made of it.
pub struct Assessed {
    pub timeline: Timeline,
    pub course: Course,
}

/// A client who is to be assessed.
pub struct Case {
    pub job: Job,
    timeline: Timeline,
    inputs: Print,
}

/// One job's outcome, to be published.
pub struct Draft {
    pub end: End,
    /// Findings that changed.
    pub puts: Vec<Put>,
    /// Nothing was assessed: they stood.
    pub stood: bool,
}

impl Pipeline {
    /// The timeline of one client, from the facts that are kept.
    ///
    /// # Errors
    /// The database.
    pub async fn timeline(&self, client: &str) -> Result<Timeline> {
        let events = self.store.events(client).await?;
        self.timeline_of(client, events, &self.measures()).await
    }

    async fn timeline_of(&self, client: &str, events: Vec<StoredEvent>, measures: &Measures) -> Result<Timeline> {
        let mut facts = Vec::with_capacity(events.len());
        for event in events {
            facts.extend(self.versioned(event, client).await?);
        }
        Ok(timeline(facts, measures))
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
        Ok(stored.as_ref().map_or_else(Person::default, person_of))
    }

    /// Reads these clients, together: those whose findings stand are done, the others are to be assessed.
    ///
    /// # Errors
    /// The database.
    pub async fn cases(&self, jobs: Vec<Job>, voice: &Voice) -> Result<(Vec<Case>, Vec<Draft>)> {
        let (now, measures) = (self.now(), self.measures());
        let clients: Vec<Arc<str>> = jobs.iter().map(|job| Arc::clone(&job.client)).collect();
        let events = self.store.events_each(&clients).await?;
        let (mut cases, mut done) = (Vec::new(), Vec::new());
        for (job, events) in std::iter::zip(jobs, events) {
            let timeline = self.timeline_of(&job.client, events, &measures).await?;
            let inputs = voice.inputs(&timeline);
            match voice.end_of(&job, inputs, now) {
                Some(end) => done.push(Draft { end, puts: Vec::new(), stood: true }),
                None => cases.push(Case { job, timeline, inputs }),
            }
        }
        Ok((cases, done))
    }

    /// Assesses these clients: what is to be written, nothing of it written yet.
    ///
    /// # Errors
    /// The database.
    pub async fn drafts(&self, cases: &[Case], voice: &Voice) -> Result<Vec<Draft>> {
        let now = self.now();
        let clients: Vec<Arc<str>> = cases.iter().map(|case| Arc::clone(&case.job.client)).collect();
        // Read before the transaction, so that nobody waits for our sums: findings are written by whoever holds the
        // job alone, and a version that has moved on all the same is a conflict.
        let mut marks = self.store.marks_each(&clients, FINDINGS).await?;
        let patients: Vec<Key> = clients.iter().map(|id| Key { kind: "Patient", id: Arc::clone(id) }).collect();
        let patients = self.store.read_all(&patients).await?;
        let mut made = Vec::with_capacity(cases.len());
        for (case, marks) in std::iter::zip(cases, &mut marks) {
            let Case { job, timeline, inputs } = case;
            let settled = settled(timeline, now, &self.constants);
            let patient = patients.iter().find(|version| version.key.id == job.client);
            let person = Person { given: None, ..patient.map_or_else(Person::default, person_of) };
            let sentences = Spoken { person, manner: Manner { time_zone: self.zone.clone(), ..Manner::default() } };
            let context = self.write_context(now, Some(settled.as_of), &sentences);
            let desired = write::findings(&job.client, &settled.course, &context);
            let wanted = write::to_read(&desired, marks);
            let (standing, next) = voice.of(&settled, *inputs);
            made.push((End { job: job.clone(), next, standing }, desired, std::mem::take(marks), wanted));
        }
        let wanted: Vec<Key> = made.iter().flat_map(|(.., wanted)| wanted.iter().cloned()).collect();
        let read = self.store.read_all(&wanted).await?;
        let read: HashMap<Key, Arc<str>> = read.into_iter().map(|version| (version.key, version.json)).collect();
        let drafts = made.into_iter().map(|(end, desired, marks, _)| {
            let existing: Vec<ExistingFinding> = marks.into_iter().map(|mark| existing(mark, &read)).collect();
            let changes = write::reconcile(&desired, &existing);
            let puts = changes.into_iter().map(|change| self.put(change, &end.job.client, now)).collect();
            Draft { end, puts, stood: false }
        });
        Ok(drafts.collect())
    }

    fn put(&self, change: Change, client: &Arc<str>, now: Timestamp) -> Put {
        let mut resource = change.resource;
        let version = change.replaces.map_or(1, |version| version + 1);
        let terms = terms(change.kind, &resource, &self.term_context());
        stamp(&mut resource, &change.id, version, now);
        Put {
            key: Key { kind: change.kind, id: change.id.into() },
            version,
            updated: now,
            sender_updated: None,
            deleted: false,
            method: Method::Put,
            json: resource.to_string().into(),
            client: Some(Arc::clone(client)),
            sharers: Vec::new(),
            event: None,
            hash: change.hash,
            terms,
            behind: false,
        }
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
            ends.push(draft.end);
        }
        let oldest = ends.iter().map(|end| end.job.due).min();
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
        let _alone = self.reading_measures.lock().await;
        let stored = self.store.events_of("Questionnaire").await?;
        let mut questionnaires = Vec::new();
        for event in stored.into_iter().filter(|event| event.current && !event.deleted) {
            if let Some(Fact::Questionnaire(questionnaire)) = self.fact(&event, None).await? {
                questionnaires.push((event.key.id, questionnaire));
            }
        }
        let print = print(&questionnaires);
        let measures = Arc::new(read::shipped().with_questionnaires(questionnaires));
        *self.measures.write().unwrap_or_else(PoisonError::into_inner) = MeasuresInUse { measures, print };
        Ok(())
    }

    /// Reads them anew where they may be others than those in use: another process, or a write that has not come to
    /// its end, may have taken in a Questionnaire.
    ///
    /// # Errors
    /// The database.
    pub async fn renew_measures(&self) -> Result<()> {
        if self.shared || self.changing_measures.load(Ordering::SeqCst) > 0 {
            self.load_measures().await
        } else {
            Ok(())
        }
    }
}

/// As it is stored; nameless where it is deleted.
fn person_of(patient: &Version) -> Person {
    let json = Some(patient).filter(|version| !version.deleted);
    let json = json.and_then(|version| serde_json::from_str(&version.json).ok());
    json.map_or_else(Person::default, |patient| person(&patient))
}

/// What it says is known where it was read.
fn existing(mark: Mark, read: &HashMap<Key, Arc<str>>) -> ExistingFinding {
    let json = read.get(&mark.key).cloned().unwrap_or_default();
    ExistingFinding { kind: mark.key.kind, id: mark.key.id, version: mark.version, hash: mark.hash, json }
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
