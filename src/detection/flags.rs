//! Episodes: when a Flag was raised, on what, and when and why it came down.
//!
//! A Flag may open at any instant at which something became known, so that it is there before the session;
//! it comes down at steps, by a practitioner's word, or with time. An episode is keyed to the last step before
//! it opened, which no later booking can change.

use super::constants::FlagConstants;
use crate::domain::*;
use jiff::Timestamp;

#[derive(Default)]
pub struct Flags {
    pub episodes: Vec<Episode>,
    engagement: Option<OpenEngagement>,
    not_on_track: Option<usize>,
    safety: Vec<OpenSafety>,
    /// Safety items seen that list their answers: one of these opens nothing, should it be told later.
    listed: Vec<Judgement>,
}

struct OpenSafety {
    episode: usize,
    /// The measure that raised it; none for an answer without a date.
    measure: String,
    /// Above zero, and not seen.
    answers: Vec<Answer>,
}

struct Answer {
    source: Source,
    value: f64,
    /// When the form was filled in.
    at: Timestamp,
    /// When its sender last wrote it; `None`: nobody says.
    known: Option<Timestamp>,
}

#[derive(Clone, Copy)]
struct OpenEngagement {
    episode: usize,
    /// Signals that raised it, in the order of `SignalKind::ALL`.
    raised: [bool; 5],
    low_run: u32,
    good: bool,
    /// Steps since it opened.
    steps: u32,
}

impl Flags {
    pub fn engagement(&self) -> bool {
        self.engagement.is_some()
    }

    pub fn no_contact(&self) -> bool {
        self.engagement.is_some_and(|open| self.episodes[open.episode].why == Why::NoContact)
    }

    pub fn not_on_track(&self) -> bool {
        self.not_on_track.is_some()
    }

    /// Kinds that stand now.
    pub fn active(&self) -> Vec<FlagKind> {
        let mut kinds = Vec::new();
        if self.engagement.is_some() {
            kinds.push(FlagKind::EngagementDrop);
        }
        if self.not_on_track.is_some() {
            kinds.push(FlagKind::NotOnTrack);
        }
        if !self.safety.is_empty() {
            kinds.push(FlagKind::SafetyItem);
        }
        kinds
    }

    fn open(&mut self, kind: FlagKind, key: StepKey, at: Timestamp, why: Why, rests_on: Vec<Source>) -> usize {
        let taken = |key: &EpisodeKey| self.episodes.iter().any(|e| e.kind == kind && e.key == *key);
        let mut key = EpisodeKey::Step(key);
        // a second episode after the same step (a false alarm, then more): numbered by week instead
        let mut week = (at.as_second() / (7 * 86_400)).max(0) as u32;
        while taken(&key) {
            key = EpisodeKey::Step(StepKey::Week(week));
            week += 1;
        }
        self.episodes.push(Episode { kind, key, opened: at, closed: None, rests_on, judged: Vec::new(), why });
        self.episodes.len() - 1
    }

    fn close(&mut self, episode: usize, at: Timestamp, how: Closing) {
        let at = at.max(self.episodes[episode].opened);
        self.episodes[episode].closed = Some((at, how));
    }

    pub fn open_engagement(&mut self, key: StepKey, at: Timestamp, why: Why, raised: [bool; 5], rests_on: Vec<Source>) {
        let episode = self.open(FlagKind::EngagementDrop, key, at, why, rests_on);
        self.engagement = Some(OpenEngagement { episode, raised, low_run: 0, good: false, steps: 0 });
    }

    pub fn close_engagement(&mut self, at: Timestamp, how: Closing) {
        if let Some(open) = self.engagement.take() {
            self.close(open.episode, at, how);
        }
    }

    /// A step went by with the Flag up: it fades after two low steps running and something good in a signal
    /// that raised it. `good`: good outcomes since the step before, per signal.
    pub fn step_engagement(
        &mut self,
        probability: f64,
        good: [bool; 5],
        silent: bool,
        at: Timestamp,
        c: &FlagConstants,
    ) {
        let Some(open) = &mut self.engagement else { return };
        if open.steps > 0 && (0..5).any(|s| good[s] && open.raised[s]) {
            open.good = true;
        }
        open.steps += 1;
        open.low_run = if probability < c.resolve { open.low_run + 1 } else { 0 };
        if open.low_run >= c.resolve_steps && open.good && !silent {
            self.close_engagement(at, Closing::Resolved);
        }
    }

    pub fn open_not_on_track(&mut self, key: StepKey, at: Timestamp, why: Why, rests_on: Vec<Source>) {
        self.not_on_track = Some(self.open(FlagKind::NotOnTrack, key, at, why, rests_on));
    }

    pub fn close_not_on_track(&mut self, at: Timestamp, how: Closing) {
        if let Some(open) = self.not_on_track.take() {
            self.close(open, at, how);
        }
    }

    /// A safety item answered above zero. Outside the model: at once, whatever the rest says.
    pub fn safety_told(&mut self, form: &Administration) {
        let Some(value) = form.safety.map(|answer| answer.value) else { return };
        let known = Some(form.safety_known);
        if self.listed.iter().any(|seen| seen.acknowledges(&form.source, value, known)) {
            return;
        }
        let answer = Answer { source: form.source.clone(), value, at: form.at, known };
        match self.safety.iter_mut().find(|open| open.measure == form.measure.canonical) {
            Some(open) => open.answers.push(answer),
            None => self.open_safety(form.measure.canonical.clone(), form.safety_told, answer),
        }
    }

    /// A whole form with zero there closes what an earlier one raised: earlier for certain, where one has a date alone.
    pub fn safety_answered(&mut self, form: &Administration) {
        let zero = form.safety.is_some_and(|answer| answer.value <= 0.0) && form.finished && form.complete;
        let raised = |open: &OpenSafety| {
            open.measure == form.measure.canonical && open.answers.iter().all(|answer| answer.at < form.safety_told)
        };
        if let Some(open) = self.safety.iter().position(raised).filter(|_| zero) {
            let open = self.safety.remove(open);
            self.close(open.episode, form.at, Closing::AnsweredZero);
        }
    }

    /// An answer of which nobody says when it was given: it stands from the first thing that is known, and only
    /// a practitioner's word closes it, for no other answer is known to be later.
    pub fn undated_safety_answer(&mut self, form: &Undated, first: Timestamp) {
        if let Some(value) = form.safety.map(|answer| answer.value).filter(|value| *value > 0.0) {
            let answer = Answer { source: form.source.clone(), value, at: first, known: None };
            self.open_safety(String::new(), first, answer);
        }
    }

    fn open_safety(&mut self, measure: String, at: Timestamp, answer: Answer) {
        self.episodes.push(Episode {
            kind: FlagKind::SafetyItem,
            key: EpisodeKey::Response(answer.source.clone()),
            opened: at,
            closed: None,
            rests_on: vec![answer.source.clone()],
            judged: Vec::new(),
            why: Why::SafetyAnswer,
        });
        self.safety.push(OpenSafety { episode: self.episodes.len() - 1, measure, answers: vec![answer] });
    }

    /// Closes what it leaves no answer of; an answer that was not seen keeps its episode open.
    fn safety_seen(&mut self, judgement: &Judgement) {
        for mut open in std::mem::take(&mut self.safety) {
            let before = open.answers.len();
            open.answers.retain(|answer| !judgement.acknowledges(&answer.source, answer.value, answer.known));
            if open.answers.len() < before {
                let word = (judgement.known, judgement.verdict, judgement.source.clone());
                self.episodes[open.episode].judged.push(word);
            }
            match open.answers.is_empty() {
                true => self.close(open.episode, judgement.known, Closing::Acknowledged),
                false => self.safety.push(open),
            }
        }
        if judgement.covers.is_some() {
            self.listed.push(judgement.clone());
        }
    }

    /// A practitioner's word. About the engagement episode that stands, else the last one before.
    pub fn judge(&mut self, judgement: &Judgement) {
        if judgement.verdict == Verdict::SafetyAcknowledged {
            return self.safety_seen(judgement);
        }
        let word = (judgement.known, judgement.verdict, judgement.source.clone());
        let about = match &self.engagement {
            Some(open) => Some(open.episode),
            None => self.episodes.iter().rposition(|e| e.kind == FlagKind::EngagementDrop),
        };
        if let Some(episode) = about {
            self.episodes[episode].judged.push(word);
        }
        if judgement.verdict == Verdict::RuptureNo {
            self.close_engagement(judgement.known, Closing::FalseAlarm);
        }
    }

    /// A planned ending closes what the model raised. An unacknowledged safety answer outlives it, but not
    /// the client.
    pub fn end(&mut self, ending: &Ending) {
        self.close_engagement(ending.at, Closing::Ended);
        self.close_not_on_track(ending.at, Closing::Ended);
        if ending.kind == EndingKind::Deceased {
            for open in std::mem::take(&mut self.safety) {
                self.close(open.episode, ending.at, Closing::Ended);
            }
        }
    }
}
