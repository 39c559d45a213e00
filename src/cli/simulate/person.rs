//! Who a client of the `strain` generator is: habits that differ between people and last through treatment.
//! Sources stand beside the parameters; what has none is an assumption, chosen so that the caseload as a whole
//! shows the published rates.

use super::chance::Chance;
use super::history::{Instrument, minutes};
use super::strain::Show;
use jiff::Timestamp;

pub struct Person {
    pub sessions: usize,
    pub interval_days: i64,
    /// Sessions are booked weeks ahead, not one at a time.
    pub series: bool,
    /// Log-odds of trouble with a session when nothing is the matter.
    pub trouble: f64,
    /// Share of such trouble that ends in a no-show: the rest is called off.
    pub silent: f64,
    pub late: f64,
    /// What homework usually comes to; 0 is half done.
    pub diligence: f64,
    pub words: f64,
    /// Log-odds of filling in a measure, and what each one more takes away.
    pub fills: f64,
    pub fatigue: f64,
    pub skips: f64,
    pub seconds_per_item: f64,
    /// How plainly strain shows in attendance, homework, measures and on alliance scales.
    pub shows: Show,
    pub rupture_per_session: f64,
    pub repair_per_session: f64,
    pub alliance: f64,
    pub channels: Channels,
    /// Life events, changes of therapist and the like, by session number.
    pub life_event: Option<(usize, f64)>,
    pub new_therapist: Option<usize>,
    pub fortnightly_from: Option<usize>,
    pub bounced: Option<(usize, usize)>,
    pub sick_clinician: f64,
}

/// Which channels this client's record has at all.
pub struct Channels {
    pub outcome: Vec<Instrument>,
    pub alliance: Option<Instrument>,
    pub homework: bool,
    pub asked_by_task: bool,
    pub timed: bool,
    pub desk_notes_lateness: bool,
    pub encounters: bool,
    pub reasons: bool,
    pub due_dates: bool,
    pub rates_quality: bool,
    pub counts_words: bool,
}

impl Person {
    pub fn draw(chance: &mut Chance) -> Person {
        let sessions = chance.log_normal(18.0, 0.45).clamp(4.0, 48.0) as usize;
        // Own attendance history is the best predictor of no-shows (AUC .72-.81, several): clients differ
        // much and lastingly. About one in six is unreliable whatever the alliance.
        let unreliable = chance.happens(0.17);
        let trouble = if unreliable { chance.normal(-0.9, 0.4) } else { chance.normal(-2.8, 0.55) };
        let fatigued = chance.happens(0.18);
        // Not every rupture shows, and not in everything: Hill 1993 found most of what clients hold back
        // unnoticed by their therapists.
        let shows = Show::draw(chance);
        // Clients with a rupture in treatment: 46-50 % (McLaughlin 2014; Stevens 2007), over 18 sessions.
        let rupture_per_session = chance.log_normal(0.046, 0.55);
        Person {
            sessions,
            interval_days: if chance.happens(0.12) { 14 } else { 7 },
            series: chance.happens(0.3),
            trouble,
            silent: chance.within(if unreliable { 0.5 } else { 0.3 }, 0.15, 0.05, 0.9),
            late: chance.normal(-2.7, 0.8),
            diligence: chance.normal(1.0, 0.75),
            words: chance.log_normal(60.0, 0.7),
            fills: chance.normal(2.4, 0.8),
            fatigue: if fatigued { chance.within(0.11, 0.04, 0.05, 0.2) } else { 0.0 },
            skips: chance.normal(-4.7, 0.7),
            // Under two seconds an item nobody has read it (Bowling; Behav Res Methods 2024).
            seconds_per_item: chance.log_normal(5.5, 0.35).max(2.4),
            shows,
            rupture_per_session,
            repair_per_session: chance.within(0.2, 0.08, 0.03, 0.5),
            alliance: chance.normal(36.5, 1.8),
            channels: Channels::draw(chance),
            life_event: chance
                .happens(0.22)
                .then(|| (chance.whole(3, 4 + sessions as i64) as usize, chance.log_normal(1.0, 0.3))),
            new_therapist: chance.happens(0.06).then(|| chance.whole(5, 18) as usize),
            fortnightly_from: chance.happens(0.2).then(|| chance.whole(8, 20) as usize),
            bounced: chance.happens(0.07).then(|| chance.whole(4, 14) as usize).map(|from| (from, from + 4)),
            sick_clinician: if chance.happens(0.15) { 0.09 } else { 0.02 },
        }
    }

    pub fn kinds(&self, happened: &[&'static str]) -> Vec<String> {
        let traits = [
            ("unreliable", self.trouble > -1.7),
            ("questionnaire-fatigue", self.fatigue > 0.0),
            ("poor-homework", self.channels.homework && self.diligence < 0.0),
        ];
        let lasting = traits.into_iter().filter(|(_, holds)| *holds).map(|(name, _)| name);
        let mut kinds: Vec<String> = lasting.chain(happened.iter().copied()).map(str::to_owned).collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }
}

impl Channels {
    pub fn draw(chance: &mut Chance) -> Channels {
        use Instrument::*;
        let outcome = match chance.weighted(&[0.52, 0.2, 0.12, 0.08, 0.08]) {
            0 => vec![Phq9],
            1 => vec![Gad7],
            2 => vec![Phq9, Gad7],
            3 => vec![Ors],
            _ => vec![],
        };
        let alliance = match chance.weighted(&[0.3, 0.08, 0.62]) {
            0 => Some(Srs),
            1 => Some(WaiSr),
            _ => None,
        };
        Channels {
            outcome,
            alliance,
            homework: chance.happens(0.85),
            asked_by_task: chance.happens(0.4),
            timed: chance.happens(0.6),
            desk_notes_lateness: chance.happens(0.6),
            encounters: chance.happens(0.25),
            reasons: chance.happens(0.9),
            due_dates: chance.happens(0.6),
            rates_quality: chance.happens(0.6),
            counts_words: chance.happens(0.4),
        }
    }

    pub fn names(&self) -> Vec<String> {
        let present = [
            ("rom", !self.outcome.is_empty()),
            ("homework", self.homework),
            ("alliance", self.alliance.is_some()),
            ("asked", self.asked_by_task && !self.outcome.is_empty()),
            ("timed", self.timed && !self.outcome.is_empty()),
            ("lateness", self.desk_notes_lateness),
        ];
        present.into_iter().filter(|(_, there)| *there).map(|(name, _)| name.to_owned()).collect()
    }

    /// How lateness stands in the record: minutes for those the desk notes, nothing otherwise.
    pub fn lateness(&self, late: i64) -> Option<i64> {
        self.desk_notes_lateness.then_some(late)
    }
}

/// Reminder before, or form filled in after: how long before a session a measure is asked for.
pub fn asked_at(start: Timestamp) -> Timestamp {
    start - minutes(48 * 60)
}
