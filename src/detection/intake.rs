//! What became known since the last step: not yet committed, so it can still be corrected (homework that was
//! not done by its time and is handed in before the session is late, not missing).

use super::baseline::Evidence;
use crate::domain::{AttendanceOutcome, HomeworkSeen, RomSeen, ScoreSeen, Source};
use jiff::Timestamp;

#[derive(Clone, Debug, Default)]
pub struct Intake {
    pub attendance: Vec<AttendanceItem>,
    pub homework: Vec<HomeworkItem>,
    pub rom: Vec<RomItem>,
    /// ln(seconds per item), with the instrument it belongs to, and the evidence if there was a baseline.
    pub speed: Vec<SpeedItem>,
    pub scores: Vec<ScoreItem>,
    pub alliance: Vec<AllianceItem>,
    /// A practitioner judged a false alarm since the last step: what was known by then says nothing.
    pub mute_spacing: bool,
}

#[derive(Clone, Debug)]
pub struct AttendanceItem {
    pub outcome: AttendanceOutcome,
    /// `None`: shown, no evidence.
    pub severity: Option<usize>,
    /// From and to of a move, so that a double booking moved once is one move.
    pub moved: Option<(Timestamp, Timestamp)>,
    pub rests_on: Vec<Source>,
    pub muted: bool,
}

#[derive(Clone, Debug)]
pub struct HomeworkItem {
    pub index: usize,
    /// `None`: shown, no evidence.
    pub severity: Option<usize>,
    pub excuse: f64,
    /// Quality, ln(minutes), ln(words).
    pub content: [Option<f64>; 3],
    pub seen: HomeworkSeen,
    pub muted: bool,
}

#[derive(Clone, Debug)]
pub struct RomItem {
    /// The due it answers.
    pub due: Option<usize>,
    pub severity: usize,
    pub seen: RomSeen,
    pub muted: bool,
}

#[derive(Clone, Debug)]
pub struct SpeedItem {
    pub instrument: usize,
    pub value: f64,
    pub evidence: Option<Evidence>,
}

#[derive(Clone, Debug)]
pub struct ScoreItem {
    pub instrument: usize,
    /// Predicted score, points.
    pub predicted: f64,
    /// `None`: the first score.
    pub evidence: Option<Evidence>,
    pub seen: ScoreSeen,
}

#[derive(Clone, Debug)]
pub struct AllianceItem {
    pub instrument: usize,
    pub administration: usize,
    pub score: f64,
    /// Standard deviations on the worse side, and the client's own mean; `None`: the first value.
    pub worse: Option<(f64, f64)>,
    pub evidence: Option<Evidence>,
}

impl Intake {
    /// A false alarm: what has been seen stays seen and is still learned from, but says nothing any more.
    pub fn mute(&mut self) {
        for item in &mut self.attendance {
            item.muted = true;
        }
        for item in &mut self.homework {
            item.muted = true;
        }
        for item in &mut self.rom {
            item.muted = true;
        }
        for item in &mut self.speed {
            item.evidence = item.evidence.map(|_| [0.0; 2]);
        }
        for item in &mut self.scores {
            item.evidence = item.evidence.map(|_| [0.0; 2]);
        }
        for item in &mut self.alliance {
            item.evidence = item.evidence.map(|_| [0.0; 2]);
        }
        self.mute_spacing = true;
    }

    /// Whether anything in it can speak against alignment.
    pub fn any_bad(&self) -> bool {
        let speaks = |l: &Option<Evidence>| l.is_some_and(|l| l[0] > 0.0 || l[1] > 0.0);
        self.attendance.iter().any(|i| i.severity.is_some_and(|s| s > 0))
            || self.homework.iter().any(|i| i.severity.is_some_and(|s| s > 0))
            || self.rom.iter().any(|i| i.severity > 0)
            || self.speed.iter().any(|i| speaks(&i.evidence))
            || self.alliance.iter().any(|i| speaks(&i.evidence))
    }

    /// Whether a session, homework or a questionnaire fell short, late homework aside.
    pub fn falls_short(&self) -> bool {
        self.attendance.iter().any(|i| i.severity.is_some_and(|s| s > 0))
            || self.homework.iter().any(|i| i.severity.is_some_and(|s| s > 1))
            || self.rom.iter().any(|i| i.severity > 0)
    }

    pub fn clear(&mut self) {
        self.attendance.clear();
        self.homework.clear();
        self.rom.clear();
        self.speed.clear();
        self.scores.clear();
        self.alliance.clear();
        self.mute_spacing = false;
    }
}
