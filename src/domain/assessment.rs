//! What detection says: a course of assessments, one a step, and the episodes in which a Flag stood.

use super::{Administration, Measure, Source};
use jiff::Timestamp;
use std::sync::Arc;

/// The five signals, in the order in which their evidence is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignalKind {
    RomTrajectory,
    RomEngagement,
    HomeworkEngagement,
    Attendance,
    AllianceMeasure,
}

impl SignalKind {
    pub const ALL: [SignalKind; 5] = [
        SignalKind::RomTrajectory,
        SignalKind::RomEngagement,
        SignalKind::HomeworkEngagement,
        SignalKind::Attendance,
        SignalKind::AllianceMeasure,
    ];

    /// Code in `CodeSystem/signal`.
    pub fn code(self) -> &'static str {
        match self {
            SignalKind::RomTrajectory => "rom-trajectory",
            SignalKind::RomEngagement => "rom-engagement",
            SignalKind::HomeworkEngagement => "homework-engagement",
            SignalKind::Attendance => "attendance",
            SignalKind::AllianceMeasure => "alliance-measure",
        }
    }
}

/// Everything said of one client as of one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// The instant asked about.
    pub as_of: Timestamp,
    /// One per step whose start is at or before `as_of`, in time order, each as of its own start.
    pub steps: Vec<Assessment>,
    /// The assessment as of `as_of` itself; `None` when assessment has ended, or nothing has happened yet.
    pub open: Option<Assessment>,
    /// Episodes in which a Flag stood, in order of opening.
    pub episodes: Vec<Episode>,
    /// The primary outcome measure as of `as_of`.
    pub primary: Option<Arc<Measure>>,
    /// Treatment ended (planned ending) at this instant.
    pub ended: Option<Timestamp>,
    /// When time alone could next change the assessment: the next due instant, appointment start or
    /// silence limit after `as_of`.
    pub next_change: Option<Timestamp>,
    /// Nominal interval between sessions as of `as_of`, days.
    pub interval_days: f64,
}

/// What a step is keyed by, so that a finding keeps its identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepKey {
    /// The appointment (the bytewise first id where several share one start).
    Appointment(Arc<str>),
    /// After this last appointment, with nothing booked: the open assessment, beside the step's own.
    After(Arc<str>),
    /// No appointments at all: the weekly step with this number, from the first event.
    Week(u32),
    /// Nothing else to key it to.
    Client,
}

/// The assessment as of one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    pub key: StepKey,
    /// Appointments (slots) that share this step, sorted; empty for a weekly step.
    pub appointments: Vec<Arc<str>>,
    pub as_of: Timestamp,
    /// Calibrated posterior from all channels that the alliance is in rupture (withdrawing or ruptured), 0..1.
    pub probability: f64,
    /// The same from all channels but the score trajectory: what the engagement Flag is decided on.
    pub engagement_probability: f64,
    /// Calibrated log-odds from before this step. `carried + Σ evidence = logit(probability)`.
    pub carried: f64,
    pub signals: [Signal; 5],
    pub pattern: Pattern,
    pub band: Band,
    /// Steps behind the baseline so far (slots before this one).
    pub baseline_steps: u32,
    /// Fewer than three slots: no flag yet.
    pub warming_up: bool,
    /// Kinds of the Flags active as of this instant.
    pub flags: Vec<FlagKind>,
    /// What happened since the step before, for the page and the sentences.
    pub seen: Seen,
    /// Two slots, or two nominal intervals, without contact or booking.
    pub no_contact: bool,
}

impl Assessment {
    pub fn signal(&self, kind: SignalKind) -> &Signal {
        &self.signals[kind as usize]
    }
}

/// One signal at one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    pub kind: SignalKind,
    /// Nothing to go on at this step: evidence is 0 and the Observation says `not-performed`.
    pub absent: bool,
    /// Contribution in nats on the calibrated log-odds scale.
    pub evidence: f64,
    /// What was seen at this step, in the unit of the signal (severity u 0..1 for categorical channels,
    /// points for trajectory and alliance).
    pub current: Option<f64>,
    /// The client's own baseline in the same unit.
    pub baseline: Option<f64>,
    /// (current − baseline) in baseline standard deviations; positive is worse.
    pub deviation: Option<f64>,
    /// Observations of this channel behind the baseline.
    pub baseline_count: u32,
    /// Decayed accumulated evidence acc_c (detection.md): which channels keep the Flag up.
    pub accumulated: f64,
    /// What this signal rests on at this step.
    pub rests_on: Vec<Source>,
}

/// Withdrawal or confrontation: a hint (AUROC .70).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    None,
    Withdrawal,
    Confrontation,
}

impl Pattern {
    pub fn code(self) -> &'static str {
        match self {
            Pattern::None => "none",
            Pattern::Withdrawal => "withdrawal",
            Pattern::Confrontation => "confrontation",
        }
    }
}

/// What the first page shows instead of a percentage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Band {
    NothingUnusual,
    Watch,
    Flag,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlagKind {
    EngagementDrop,
    NotOnTrack,
    SafetyItem,
}

impl FlagKind {
    /// Code in `CodeSystem/flag`.
    pub fn code(self) -> &'static str {
        match self {
            FlagKind::EngagementDrop => "engagement-drop",
            FlagKind::NotOnTrack => "not-on-track",
            FlagKind::SafetyItem => "safety-item",
        }
    }
}

/// One episode of one Flag: opened once, closed once. A later one is another episode.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    pub kind: FlagKind,
    /// The last step before it opened (which no later booking can change): with client and kind, its identity.
    /// For a safety item the key is the response that raised it.
    pub key: EpisodeKey,
    pub opened: Timestamp,
    pub closed: Option<(Timestamp, Closing)>,
    /// What it rested on when it opened.
    pub rests_on: Vec<Source>,
    /// Judgements about it (named in session; yes, no, unsure), in order.
    pub judged: Vec<(Timestamp, super::Verdict, Source)>,
    /// Why: for not-on-track which rule, for engagement "no contact".
    pub why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EpisodeKey {
    Step(StepKey),
    Response(Source),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Several engagement signals together.
    Signals,
    /// No kept session and nothing booked for two nominal intervals.
    NoContact,
    /// Two consecutive scores above the expected range.
    AboveExpected,
    /// Worse than the best by reliable change on two occasions.
    ReliableDeterioration,
    /// No reliable change over the last five scores after an earlier gain, still above the cut-off.
    Plateau,
    /// An answer above zero to a safety item.
    SafetyAnswer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// The pattern faded and something good happened in a channel that raised it.
    Resolved,
    /// A practitioner said there was none.
    FalseAlarm,
    /// No contact for eight weeks: disengaged, not recovered.
    Disengaged,
    /// Treatment ended as planned.
    Ended,
    /// Safety item acknowledged by a practitioner.
    Acknowledged,
    /// A later complete answer was 0.
    AnsweredZero,
}

/// What happened between the step before and this one (strictly before this step's start).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Outcomes of slots and moves that became known, with what they rest on.
    pub attendance: Vec<(AttendanceOutcome, Source)>,
    /// More space since the last session, beside something else that fell short: gap to the booking, days.
    pub spacing_days: Option<f64>,
    pub homework: Vec<HomeworkSeen>,
    pub rom: Vec<RomSeen>,
    /// Every score of the primary measure, oldest first.
    pub scores: Vec<ScoreSeen>,
    /// Alliance measures filled in.
    pub alliance: Vec<Administration>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AttendanceOutcome {
    Attended,
    Late {
        minutes: f64,
    },
    CancelledByClient,
    Rescheduled,
    NoShow,
    /// Shown, never evidence.
    CancelledByService,
    CancelledUnattributed,
}

#[derive(Clone, Debug, PartialEq)]
pub struct HomeworkSeen {
    pub source: Source,
    pub outcome: HomeworkOutcome,
    pub due: Option<Timestamp>,
    pub quality: Option<f64>,
    pub minutes: Option<f64>,
    pub words: Option<u32>,
    pub completion: Option<f64>,
    pub title: Option<String>,
    /// Not done, and said so.
    pub declined: bool,
    /// 0..1: how far improvement justifies less homework (I in detection.md).
    pub justified: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HomeworkOutcome {
    Done,
    Partial,
    Late,
    NotDone,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RomSeen {
    /// `None` where nothing was filled in.
    pub source: Option<Source>,
    /// The Task that asked, if one did.
    pub task: Option<Source>,
    pub measure: Option<Arc<Measure>>,
    pub outcome: RomOutcome,
    pub answered: u16,
    pub expected: u16,
    /// Items skipped that this client used to answer.
    pub newly_skipped: u16,
    pub seconds: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RomOutcome {
    Complete,
    /// Some items left out, or begun and not finished.
    Partial,
    /// Under two seconds an item.
    Perfunctory,
    /// Every question answered the same, which this client does not usually do.
    Alike,
    Missed,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ScoreSeen {
    pub source: Source,
    pub at: Timestamp,
    pub measure: Arc<Measure>,
    /// Points.
    pub score: f64,
    /// The expected range at this administration, points (low, high), by the expected trajectory.
    pub expected: (f64, f64),
    /// Standardised innovation of the trajectory filter; positive is worse.
    pub innovation: f64,
}
