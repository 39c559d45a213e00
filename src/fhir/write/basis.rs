//! A digest of the facts that each step rests on, whatever the model makes of them.
//!
//! Two releases that saw the same facts have the same digest: so a finding of an earlier release can be told
//! from one whose data were corrected. It is chained from the first step on: a correction changes the digest of
//! every step behind it, and of none before.

use super::ids::{frame, step_text, truncated};
use crate::domain::{Administration, Assessment, Course, Source};
use sha2::{Digest, Sha256};

pub type Basis = [u8; 16];

/// The digest behind nothing.
pub const NONE: Basis = [0; 16];

/// Digest of what was known before each step, in order.
pub fn chain(course: &Course) -> Vec<Basis> {
    let mut last = NONE;
    let link = |step| {
        last = self::link(last, step, true);
        last
    };
    course.steps.iter().map(link).collect()
}

/// Digest of what is known before the open assessment, whose instant is no fact.
pub fn of_open(before: Basis, open: &Assessment) -> Basis {
    link(before, open, false)
}

fn link(before: Basis, step: &Assessment, dated: bool) -> Basis {
    let mut hash = Sha256::new();
    hash.update(before);
    frame(&mut hash, step_text(&step.key).as_bytes());
    if dated {
        hash.update(step.as_of.as_microsecond().to_be_bytes());
    }
    for appointment in &step.appointments {
        frame(&mut hash, appointment.as_bytes());
    }
    for fact in facts(step) {
        frame(&mut hash, fact.as_bytes());
    }
    truncated(hash)
}

/// What was seen, as text, without what the model made of it (expected range, innovation, justified).
fn facts(step: &Assessment) -> Vec<String> {
    let seen = &step.seen;
    let mut facts = Vec::new();
    let mut add = |text: String| facts.push(text);
    for (outcome, source) in &seen.attendance {
        add(format!("attendance {source} {outcome:?}"));
    }
    add(format!("spacing {:?}", seen.spacing_days));
    for item in &seen.homework {
        add(format!(
            "homework {} {:?} {:?} {:?} {:?} {:?} {:?}",
            item.source, item.outcome, item.due, item.quality, item.minutes, item.words, item.completion
        ));
    }
    for item in &seen.rom {
        add(format!(
            "rom {:?} {:?} {:?} {} {} {} {:?}",
            name(&item.source),
            name(&item.task),
            item.outcome,
            item.answered,
            item.expected,
            item.newly_skipped,
            item.seconds
        ));
    }
    for score in &seen.scores {
        add(format!("score {} {} {}", score.source, score.measure.canonical, score.score));
    }
    for item in &seen.alliance {
        add(alliance(item));
    }
    facts
}

fn alliance(item: &Administration) -> String {
    format!("alliance {} {} {:?} {:?}", item.source, item.measure.canonical, item.score, item.subscales)
}

fn name(source: &Option<Source>) -> Option<String> {
    source.as_ref().map(Source::to_string)
}
