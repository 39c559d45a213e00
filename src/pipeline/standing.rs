//! What findings rest on: while it holds, a client is passed over, and nothing is made, read or written.
//!
//! Findings are a function of the facts, of who reads and judges them (release, constants, time zone, measures), and
//! of the last instant at which anything could have changed. The store counts facts (`Job::standing` is there only
//! where none has come since); the rest is here, as digests and two instants.

use super::Pipeline;
use crate::detection;
use crate::domain::{Course, Timeline};
use crate::store::{End, Job, Standing};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use std::fmt::{self, Debug, Write};

/// Count it up when findings of the same facts say something else, and neither the model nor the version of this
/// software does.
const RENDITION: u8 = 1;
/// What is known at an instant counts from the next millisecond on: knowledge is strict.
const JUST_AFTER: SignedDuration = SignedDuration::from_millis(1);
/// Steps that [`settled`] follows at most: silence limits and weekly steps of several years.
const SETTLE_STEPS_MAX: usize = 400;

pub type Print = [u8; 16];

/// Digest of what `value` shows of itself. Two that show the same are the same: derived `Debug`, no hash maps.
pub fn print(value: &impl Debug) -> Print {
    let mut into = Into(Sha256::new());
    // Hashing fails for nothing.
    let _ = write!(into, "{value:?}");
    let full = into.0.finalize();
    std::array::from_fn(|i| full[i])
}

struct Into(Sha256);

impl Write for Into {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// Who speaks.
#[derive(Clone, Copy, Debug)]
pub struct Voice {
    /// This software, model, constants and time zone.
    speaker: Print,
    /// The same, with the measures.
    release: Print,
}

impl Voice {
    /// What findings of this timeline rest on.
    pub fn inputs(&self, timeline: &Timeline) -> Print {
        print(&(self.speaker, timeline))
    }

    /// Whether the client need not even be read.
    fn stands(&self, standing: &Standing, now: Timestamp) -> bool {
        standing.release == self.release && holds(standing, now)
    }

    /// Whether findings of this timeline stand already: its end then.
    pub fn end_of(&self, job: &Job, inputs: Print, now: Timestamp) -> Option<End> {
        let standing = job.standing.filter(|one| one.inputs == inputs && holds(one, now))?;
        Some(end(job, Standing { release: self.release, ..standing }))
    }

    /// What the findings of a course rest on, and when time alone makes the client due again.
    pub fn of(&self, settled: &Settled, inputs: Print) -> (Option<Standing>, Option<Timestamp>) {
        let standing = settled.window.map(|(from, until)| Standing { release: self.release, inputs, from, until });
        // Strictly after the instant itself, so that what it brings is known.
        let change = settled.course.next_change.map(|at| at + JUST_AFTER);
        (standing, standing.map_or(change, |standing| standing.until).map(|until| until + JUST_AFTER))
    }
}

fn holds(standing: &Standing, now: Timestamp) -> bool {
    standing.from <= now && standing.until.is_none_or(|until| now < until)
}

fn end(job: &Job, standing: Standing) -> End {
    End { job: job.clone(), next: standing.until.map(|until| until + JUST_AFTER), standing: Some(standing) }
}

impl Pipeline {
    /// Who speaks now.
    pub fn voice(&self) -> Voice {
        let software = (RENDITION, env!("CARGO_PKG_VERSION"), super::MODEL);
        let zone = (self.zone.iana_name(), &self.zone);
        let speaker = print(&(software, &self.constants_name, &self.constants, zone));
        Voice { speaker, release: print(&(speaker, self.measures_in_use().print)) }
    }

    /// Parts jobs whose clients need not be read from the others.
    pub fn pass_over(&self, jobs: Vec<Job>) -> (Vec<End>, Vec<Job>) {
        let (voice, now) = (self.voice(), self.now());
        let (mut passed, mut left) = (Vec::new(), Vec::new());
        for job in jobs {
            match job.standing.filter(|standing| voice.stands(standing, now)) {
                Some(standing) => passed.push(end(&job, standing)),
                None => left.push(job),
            }
        }
        (passed, left)
    }
}

/// What is said now.
pub struct Settled {
    pub as_of: Timestamp,
    pub course: Course,
    /// From when until before when the same is said, if time alone passes.
    window: Option<(Timestamp, Option<Timestamp>)>,
}

/// The latest instant up to `now` at which anything could have changed, and the course as of then. Between two
/// such instants the open assessment stands, so that what is published is a function of the record and not of
/// the moment at which the worker came by.
pub fn settled(timeline: &Timeline, now: Timestamp, constants: &detection::Constants) -> Settled {
    let assess = |at| detection::assess(timeline, at, constants);
    let (mut last, mut coming) = (None, None);
    for at in instants(timeline).map(|at| at + JUST_AFTER) {
        if at <= now {
            last = last.max(Some(at));
        } else {
            coming = Some(coming.map_or(at, |known: Timestamp| known.min(at)));
        }
    }
    let mut as_of = last.unwrap_or(now);
    let mut course = assess(as_of);
    let change = |course: &Course| course.next_change.map(|at| at + JUST_AFTER);
    for _ in 0..SETTLE_STEPS_MAX {
        let Some(next) = change(&course).filter(|next| *next <= now && *next > as_of) else { break };
        as_of = next;
        course = assess(as_of);
    }
    let until = change(&course).into_iter().chain(coming).min();
    let window = last.filter(|_| until.is_none_or(|until| now < until)).map(|_| (as_of, until));
    Settled { as_of, course, window }
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
