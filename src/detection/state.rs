//! What the model remembers of a client from step to step.

use super::alliance::OwnMean;
use super::baseline::{Baseline, Scale};
use super::constants::Constants;
use super::fusion::{Matrix, States, returning};
use super::rom_engagement::Habit;
use super::rom_trajectory::Trajectory;
use crate::domain::{Measure, Source, StepKey};
use jiff::Timestamp;
use std::sync::Arc;

/// The categorical channels, the same for every client.
pub struct Scales {
    pub attendance: Scale,
    pub homework: Scale,
    pub rom: Scale,
}

impl Scales {
    pub fn new(c: &Constants) -> Self {
        Scales {
            attendance: Scale::new(&c.attendance.outcomes, c.floor),
            homework: Scale::new(&c.homework.outcomes, c.floor),
            rom: Scale::new(&c.rom.outcomes, c.floor),
        }
    }
}

/// One measure in the hands of one client.
pub struct Instrument {
    pub measure: Arc<Measure>,
    pub cutoff_u: Option<f64>,
    pub habit: Habit,
    pub trajectory: Option<Trajectory>,
    /// Scores of it since the primary measure was last scored.
    since_primary: usize,
    pub alliance: OwnMean,
}

impl Instrument {
    pub fn new(measure: &Arc<Measure>) -> Self {
        Instrument {
            measure: measure.clone(),
            cutoff_u: measure.cutoff_u(),
            habit: Habit::default(),
            trajectory: None,
            since_primary: 0,
            alliance: OwnMean::default(),
        }
    }
}

/// The instrument for a measure, made on first sight. A client has a handful: a scan is enough.
pub fn instrument(instruments: &mut Vec<Instrument>, measure: &Arc<Measure>) -> usize {
    let known =
        instruments.iter().position(|i| Arc::ptr_eq(&i.measure, measure) || i.measure.canonical == measure.canonical);
    known.unwrap_or_else(|| {
        instruments.push(Instrument::new(measure));
        instruments.len() - 1
    })
}

/// The measure whose scores are the client's course, now that this one has been scored: the first that was, until it
/// is given up: another came [`GIVEN_UP`] times since its last score (twice, while it has but one). Which of two is
/// filled in more often is no reason to change. Each measure keeps its own trajectory, so that a change starts from
/// that measure's own baseline.
pub fn primary(instruments: &mut [Instrument], now: Option<usize>, scored: usize) -> usize {
    instruments[scored].since_primary += 1;
    let limit = |i: usize| match &instruments[i].trajectory {
        Some(t) if t.scores.len() > 1 => GIVEN_UP,
        _ => 2,
    };
    let stays = now.filter(|now| *now != scored && instruments[scored].since_primary < limit(*now));
    stays.unwrap_or_else(|| {
        instruments.iter_mut().for_each(|i| i.since_primary = 0);
        scored
    })
}

/// Scores of another measure that show that one is no longer used (choice).
const GIVEN_UP: usize = 4;

pub struct State {
    /// From all channels.
    pub all: States,
    /// From all but the score trajectory: a second filter beside the first, so that a score never moves the
    /// engagement Flag.
    pub engaged: States,
    /// The transition, for a while after "named in session" with likelier ways back.
    pub transition: Matrix,
    pub attendance: Baseline,
    pub homework: Baseline,
    pub rom: Baseline,
    /// Quality (0-4), ln(minutes) and ln(words) of homework done.
    pub quality: OwnMean,
    pub minutes: OwnMean,
    pub words: OwnMean,
    /// Evidence gathered per signal, in the order of `SignalKind::ALL`.
    pub gathered: [f64; 5],
    /// When the state last moved on.
    pub since: Option<Timestamp>,
    /// The step it moved on at.
    pub key: Option<StepKey>,
    /// Start of the last slot that was a step.
    pub last_slot: Option<Timestamp>,
    /// Start of the last kept slot.
    pub kept: Option<Timestamp>,
    pub slot_steps: u32,
    pub week_steps: u32,
    /// Steps for which "named in session" still works.
    pub named: u32,
    /// What spoke against alignment at the last steps: step, signal, source.
    pub recent: Vec<(u32, usize, Source)>,
    /// Days between slots, sorted.
    gaps: Vec<f64>,
    /// The last of them.
    pub last_gap: f64,
}

impl State {
    pub fn new(c: &Constants, scales: &Scales) -> Self {
        State {
            all: c.prior,
            engaged: c.prior,
            transition: c.transition,
            attendance: Baseline::new(&scales.attendance),
            homework: Baseline::new(&scales.homework),
            rom: Baseline::new(&scales.rom),
            quality: OwnMean::around(c.homework.quality_usual),
            minutes: OwnMean::default(),
            words: OwnMean::default(),
            gathered: [0.0; 5],
            since: None,
            key: None,
            last_slot: None,
            kept: None,
            slot_steps: 0,
            week_steps: 0,
            named: 0,
            recent: Vec::new(),
            gaps: Vec::new(),
            last_gap: 0.0,
        }
    }

    pub fn steps(&self) -> u32 {
        self.slot_steps + self.week_steps
    }

    /// Back to where a new client starts; what was learned of the client's habits stays.
    pub fn restart(&mut self, at: Timestamp, c: &Constants) {
        self.all = c.prior;
        self.engaged = c.prior;
        self.gathered = [0.0; 5];
        self.recent.clear();
        self.since = Some(at);
        self.named = 0;
        self.refresh(c);
    }

    /// Days between the client's slots: the median so far; before there is one, the gap to the slot that
    /// comes next, else a week.
    pub fn interval(&self, next: Option<Timestamp>, c: &Constants) -> f64 {
        let days = if self.gaps.is_empty() {
            match (self.last_slot, next) {
                (Some(last), Some(next)) if next > last => super::record::days(last, next).max(3.5),
                _ => c.interval_days_default,
            }
        } else {
            self.gaps[(self.gaps.len() - 1) / 2]
        };
        days.clamp(1.0, c.interval_days_max)
    }

    pub fn gaps(&self) -> usize {
        self.gaps.len()
    }

    pub fn slot_passed(&mut self, start: Timestamp) {
        if let Some(last) = self.last_slot {
            let gap = super::record::days(last, start);
            if gap >= 1.0 {
                let at = self.gaps.partition_point(|g| *g < gap);
                self.gaps.insert(at, gap);
                self.last_gap = gap;
            }
        }
        self.last_slot = Some(self.last_slot.map_or(start, |last| last.max(start)));
    }

    /// "Named in session" makes the ways back to alignment likelier for a while.
    pub fn refresh(&mut self, c: &Constants) {
        self.transition = match self.named {
            0 => c.transition,
            _ => returning(&c.transition, c.flag.named_factor),
        };
    }
}
