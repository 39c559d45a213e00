//! The client timeline: what happened to one client, and when each thing could be known.
//!
//! Every list is sorted by the instant it is about, then by [`Source`]; so the same resources in any order
//! give the same timeline. Corrections and deletions have already been applied: what was entered in error is
//! not here. Nothing in detection may use an entry before its knowledge time: an assessment as of T uses what
//! was known *strictly before* T.

use super::{Measure, Source};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One client's record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// Appointments that are slots (booked, arrived, checked-in, fulfilled, noshow, cancelled, with a start).
    pub slots: Vec<Slot>,
    /// Measures filled in (or begun).
    pub administrations: Vec<Administration>,
    /// Measures filled in of which nobody says when: shown, never scored; by source.
    pub undated: Vec<Undated>,
    /// Measures asked for by a Task.
    pub dues: Vec<MeasureDue>,
    pub homework: Vec<Homework>,
    pub judgements: Vec<Judgement>,
    /// Planned endings, in the order they took effect.
    pub endings: Vec<Ending>,
}

/// An appointment with a start.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    pub source: Source,
    /// The start it has now (the last one, where it was moved).
    pub start: Timestamp,
    /// When the booking could be known; `None`: it was always known.
    pub booked: Option<Timestamp>,
    /// What became of it, as far as the record says.
    pub outcome: SlotOutcome,
    /// When that could be known: kept, late and missed at the start; a cancellation when the sender wrote it,
    /// if that was before the start. Before it the slot stands as booked.
    pub outcome_known: Timestamp,
    /// Each time the start was changed (two versions with different starts), in order.
    pub moves: Vec<Move>,
    /// The client's cancelled slot that this booking replaces: made within 48 hours of the cancellation.
    pub replaces: Option<Source>,
    /// Appointment.cancelationReason is `pat-ucp` (unhappy or changed provider): also said in words.
    pub unhappy_or_changed_provider: bool,
    /// Encounters and versions this entry also rests on.
    pub also: Vec<Source>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SlotOutcome {
    /// Nothing said yet (booked; arrived or checked-in count as kept).
    Booked,
    /// The client came; minutes after the start where the record says so.
    Kept {
        late_minutes: Option<f64>,
    },
    NoShow,
    CancelledByClient,
    /// By the clinician, the service, or for a reason that is never evidence (death, relocation, holidays …):
    /// no step of the model; its time is a break.
    CancelledByService,
    /// Cancelled, nobody said by whom: neither the client's nor the clinician's.
    CancelledUnattributed,
}

impl SlotOutcome {
    /// Cancelled, by whomever.
    #[must_use]
    pub fn is_cancelled(self) -> bool {
        matches!(self, Self::CancelledByClient | Self::CancelledByService | Self::CancelledUnattributed)
    }
}

/// The start of an appointment was changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    pub from: Timestamp,
    pub to: Timestamp,
    /// The sender's `meta.lastUpdated` of the version that moved it.
    pub known: Timestamp,
}

/// A measure filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Administration {
    pub source: Source,
    pub measure: Arc<Measure>,
    /// When it was filled in, which is when it could be known.
    pub at: Timestamp,
    /// `completed` or `amended`; otherwise begun and not finished.
    pub finished: bool,
    /// In the measure's own points, prorated by its own missing-item rule; `None`: too few answers.
    pub score: Option<f64>,
    /// Answer per item of the measure, in the measure's order, points; `None`: not answered.
    /// One entry (the total) for score-only measures.
    pub answers: Vec<Option<f32>>,
    /// Whole form, seconds, where the sender gives it.
    pub seconds: Option<f64>,
    /// WAI-SR task, goal and bond subscale scores where sent or computable.
    pub subscales: Vec<(Subscale, f64)>,
    /// The answer to the safety item, where the measure has one and it was answered.
    pub safety: Option<SafetyAnswer>,
    /// From when its safety item is told, at `at` or before: at once, whatever the form's date says.
    pub safety_told: Timestamp,
    /// When its sender last wrote it, `safety_told` at the earliest: what was said of it before meant another answer, or
    /// none.
    pub safety_known: Timestamp,
    /// Finished, and every item answered, or the total sent alone.
    pub complete: bool,
}

impl Administration {
    /// Items answered. A complete form counts whole: where only the total was sent, no item is in `answers`.
    pub fn answered(&self) -> usize {
        if self.complete { self.answers.len() } else { self.answers.iter().flatten().count() }
    }
}

/// A measure filled in at an unknown time. It cannot be placed among the others, but its safety item must not be lost.
#[derive(Clone, Debug, PartialEq)]
pub struct Undated {
    pub source: Source,
    pub measure: Arc<Measure>,
    pub safety: Option<SafetyAnswer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subscale {
    Task,
    Goal,
    Bond,
}

/// PHQ-9 item 9, EPDS item 10, CORE-10 item 6: the answer as sent, 0 is none. Never feeds the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SafetyAnswer {
    pub value: f64,
}

/// A measure that a Task asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasureDue {
    pub source: Source,
    /// `None`: the Task names a questionnaire that is no known measure.
    pub measure: Option<Arc<Measure>>,
    /// When it was asked for; not known before.
    pub asked: Timestamp,
    /// When it was due; `None`: by the next session.
    pub due: Option<Timestamp>,
    /// The response the Task's output names, if any. It may not be here: never sent to us, or of no known measure.
    pub response: Option<Source>,
    /// The Task says it was done, and when that could be known; also where no response came with it.
    pub completed: Option<Timestamp>,
    /// The Task was cancelled by the clinician: no evidence, at any time.
    pub withdrawn: bool,
}

/// A homework assignment.
#[derive(Clone, Debug, PartialEq)]
pub struct Homework {
    pub source: Source,
    pub assigned: Timestamp,
    /// `None`: by the next session.
    pub due: Option<Timestamp>,
    pub state: HomeworkState,
    /// When the state could be known. Open, or not done without a due instant: `None` (known at due, or the next session).
    pub state_known: Option<Timestamp>,
    /// Share done, 0 to 1.
    pub completion: Option<f64>,
    /// Quality rating, 0 to 4 (Haller & Watzke 2021).
    pub quality: Option<f64>,
    pub minutes: Option<f64>,
    /// Words of free text.
    pub words: Option<u32>,
    /// What it was, in the sender's short words (Task.code.text or description): for the page alone.
    pub title: Option<String>,
    /// Not done, and said so: an open no, shown and no evidence.
    pub declined: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HomeworkState {
    /// Asked for, nothing said yet: not done once it is due.
    Open,
    Done,
    /// failed or rejected by the client.
    NotDone,
    /// The clinician took it back: no evidence, at any time.
    Withdrawn,
}

/// What a practitioner said on the page, or posted. Undone ones are not here.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    pub source: Source,
    /// `issued`.
    pub known: Timestamp,
    pub verdict: Verdict,
    /// Logical id of the Flag it is about, where it names one.
    pub flag: Option<String>,
    pub note: Option<String>,
    /// Of a safety item seen: the answers that were, where it says so.
    pub covers: Option<Vec<Covered>>,
}

/// An answer above zero that was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Covered {
    /// The form it is on.
    pub source: Source,
    /// As it was seen, the highest on the form; `None`: whatever was known of it by then.
    pub value: Option<f64>,
}

impl Judgement {
    /// Whether this marks an answer as seen. With a list, what is on it and no higher than it was; without one, what was
    /// known by then, however late it came here. `known`: [`Administration::safety_known`], none where nobody says when.
    pub fn acknowledges(&self, source: &Source, value: f64, known: Option<Timestamp>) -> bool {
        let by_then = known.is_none_or(|known| known <= self.known);
        self.verdict == Verdict::SafetyAcknowledged
            && self.covers.as_ref().map_or(by_then, |all| {
                let mut on_it = all.iter().filter(|one| one.source == *source);
                on_it.any(|one| one.value.map_or(by_then, |seen| value <= seen))
            })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// "Named it in session".
    Named,
    /// There was a rupture.
    RuptureYes,
    /// False alarm.
    RuptureNo,
    RuptureUnsure,
    /// A safety item was seen and dealt with.
    SafetyAcknowledged,
}

/// Treatment ended as planned, or the client cannot come: assessment ends, Flags close.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    pub source: Source,
    pub at: Timestamp,
    pub kind: EndingKind,
    /// Treatment goes on from here: a later episode of care began, or sessions were kept again.
    pub resumed: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndingKind {
    EpisodeFinished,
    EpisodeCancelled,
    Inactive,
    Deceased,
}
