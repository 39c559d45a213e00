//! Labels of the page and the caseload.

use super::grammar::{date_short, number};
use super::{Manner, Record};
use crate::domain::{
    AttendanceOutcome, Band, FlagKind, HomeworkOutcome, Pattern, RomOutcome, SignalKind, Verdict, Worse,
};

pub const PRODUCT: &str = "Tautline";
pub const SIGN_OUT: &str = "Sign out";
pub const BEFORE_THE_SESSION: &str = "Before the session";
pub const SKIP_TO_CONTENT: &str = "Skip to the page";
pub const TODAY: &str = "today";
pub const NOW: &str = "now";
pub const NOTHING_BOOKED: &str = "nothing booked";
pub const BACK_TO_CASELOAD: &str = "All clients";
pub const TWO_FLAGS: &str = "The two flags";
pub const SHEET: &str = "Session by session";
pub const LISTEN_FOR: &str = "What no data shows: listen for";
pub const LISTEN_ALSO: &str = "What no data shows: listen also for";
pub const LISTEN_FIRST: &str = "Listen for:";
pub const AS_EVER: &str = "Nothing in the record asks for more than this, as in any session.";
pub const LISTEN_ABOVE: &str = "Nothing beside what stands above.";
pub const AFTERWARDS: &str = "Afterwards";
pub const NAMED_IT: &str = "Named it in session";
pub const WAS_THERE_A_RUPTURE: &str = "Was there a rupture?";
pub const YES: &str = "Yes";
pub const NO: &str = "No";
pub const UNSURE: &str = "Unsure";
pub const NOTE: &str = "A note, if you like; it is kept with the answer you give below";
pub const SAID_SO_FAR: &str = "Said so far";
pub const UNDO: &str = "Undo";
pub const SEEN_IT: &str = "I have seen this";
pub const READ_ONLY: &str = "Answers can be given when this page is opened from the record system.";
pub const LOOK_BACK_ANSWERS: &str = "Answers are given on today's page.";
pub const HOW_WORKED_OUT: &str = "How this was worked out";
pub const LOOK_BACK: &str = "Look back";
pub const LOOK_BACK_TEXT: &str = "The page as it could have been on another day, with only what was known then.";
pub const LOOK_BACK_DATE: &str = "Day";
pub const SHOW: &str = "Show";
pub const BACK_TO_NOW: &str = "Back to now";
pub const ALL_VALUES: &str = "All values as a table";
pub const WHAT_WOULD_CHANGE: &str = "What would change it";
pub const WHAT_IT_SAYS: &str = "What the data can show is a pattern that often comes before a client withdraws. Whether it is a rupture, \
     the two of you find out.";
pub const MOSTLY_UNSEEN: &str =
    "Open disagreement shows in the room, not in these data: this system mostly cannot see it.";
pub const PATTERN: &str = "Pattern";
pub const PATTERN_SUB: &str = "all signals together";
pub const THRESHOLD: &str = "flag from here";
pub const CARRIED: &str = "Carried over from before";
pub const SUM: &str = "Sum, as log-odds (0: as likely as not)";
pub const PROBABILITY: &str = "Probability of a rupture";
pub const WITHOUT_SCORE: &str = "Without the score: what the engagement flag is decided on";
pub const EMPTY_CASELOAD: &str = "No client has an appointment today, and none has a flag.";
pub const CASELOAD: &str = "Today";
pub const UNREAD: &str = "Not everything could be read";
pub const OF_THE_PRACTITIONER: &str = "Shown are the clients whose record names you (as general practitioner, in the care team or in an appointment), \
                                       and those whose record names nobody.";
pub const NO_APPOINTMENT: &str = "No appointment today";
pub const SAFETY: &str = "Safety item";
pub const COUNTS_FOR_NOTHING: &str = "counts for nothing";

pub fn row_name(kind: SignalKind, measure: Option<&str>) -> String {
    match kind {
        SignalKind::RomTrajectory => measure.unwrap_or("Score").to_owned(),
        SignalKind::RomEngagement => "Questionnaire".into(),
        SignalKind::HomeworkEngagement => "Homework".into(),
        SignalKind::Attendance => "Attendance".into(),
        SignalKind::AllianceMeasure => measure.unwrap_or("Alliance").to_owned(),
    }
}

pub fn better(worse: Worse) -> &'static str {
    match worse {
        Worse::Up => "lower is better",
        Worse::Down => "higher is better",
    }
}

/// Under the name of the score: which way is good, and what is drawn behind the line.
pub fn score_sub(worse: Worse) -> String {
    format!("{}; band: expected", better(worse))
}

/// Under the name of the questionnaire; of more than one, each has items of its own.
pub fn items_answered(items: u16, several: bool) -> String {
    if several {
        return "items answered, of each".into();
    }
    if items > 1 { format!("items answered, of {items}") } else { "filled in or not".into() }
}

pub const ATTENDANCE_SUB: &str = "kept, late, cancelled, missed";
pub const HOMEWORK_SUB: &str = "since the session before";

pub fn homework_sub(content: Option<&str>) -> String {
    content.map_or_else(|| HOMEWORK_SUB.to_owned(), |what| format!("bars: {what}; line: usual"))
}

/// Over the shaded weeks.
pub fn lately(record: &Record, manner: &Manner) -> String {
    match record.since {
        Some(since) => format!("since {}", date_short(since, manner)),
        None => format!("last {} weeks", number(record.window_weeks)),
    }
}

pub fn gap(days: f64) -> String {
    format!("{:.0} wk", (days / 7.0).round().max(1.0))
}

pub fn earlier_sessions(hidden: usize, shown: usize) -> String {
    let earlier = if hidden == 1 { "one earlier one is".to_owned() } else { format!("{hidden} earlier ones are") };
    format!("The last {shown} sessions are drawn; {earlier} in the table below.")
}

pub fn attendance(outcome: AttendanceOutcome) -> String {
    match outcome {
        AttendanceOutcome::Attended => "kept".into(),
        AttendanceOutcome::Late { minutes } => format!("late by {minutes:.0} min"),
        AttendanceOutcome::CancelledByClient => "cancelled by the client".into(),
        AttendanceOutcome::Rescheduled => "moved by the client".into(),
        AttendanceOutcome::NoShow => "did not come".into(),
        AttendanceOutcome::CancelledByService => {
            format!("cancelled by clinician or service; {COUNTS_FOR_NOTHING}")
        }
        AttendanceOutcome::CancelledUnattributed => {
            format!("cancelled, by whom is not recorded; {COUNTS_FOR_NOTHING}")
        }
    }
}

/// Under the mark; empty where the mark says it all.
pub fn attendance_note(outcome: AttendanceOutcome) -> String {
    match outcome {
        AttendanceOutcome::Attended => String::new(),
        AttendanceOutcome::Late { minutes } => format!("{minutes:.0} min"),
        AttendanceOutcome::CancelledByClient | AttendanceOutcome::CancelledUnattributed => "cancelled".into(),
        AttendanceOutcome::Rescheduled => "moved".into(),
        AttendanceOutcome::NoShow => "no show".into(),
        AttendanceOutcome::CancelledByService => "break".into(),
    }
}

pub fn homework(outcome: HomeworkOutcome) -> &'static str {
    match outcome {
        HomeworkOutcome::Done => "done",
        HomeworkOutcome::Partial => "done in part",
        HomeworkOutcome::Late => "done late",
        HomeworkOutcome::NotDone => "not done",
    }
}

pub fn rom(outcome: RomOutcome, answered: u16, expected: u16) -> String {
    match outcome {
        RomOutcome::Complete if expected > 1 => format!("{answered} of {expected}"),
        RomOutcome::Complete => "filled in".into(),
        RomOutcome::Partial => format!("{answered} of {expected}"),
        RomOutcome::Perfunctory => format!("{answered} of {expected}, very fast"),
        RomOutcome::Alike => format!("{answered} of {expected}, all answered alike"),
        RomOutcome::Missed => "not filled in".into(),
    }
}

/// In the legend, where the row is not beside the mark.
pub const MARKS: &str = "What the marks mean";
pub const UNASKED_MARK: &str = "none asked for";

pub fn rom_mark(outcome: RomOutcome) -> &'static str {
    match outcome {
        RomOutcome::Complete => "filled in whole",
        RomOutcome::Partial => "in part",
        RomOutcome::Perfunctory => "very fast",
        RomOutcome::Alike => "all answered alike",
        RomOutcome::Missed => "not filled in",
    }
}

pub const HOMEWORK_THIN: &str = "homework done, low quality";

pub fn homework_mark(outcome: HomeworkOutcome) -> &'static str {
    match outcome {
        HomeworkOutcome::Done => "homework done",
        HomeworkOutcome::Partial => "homework in part",
        HomeworkOutcome::Late => "homework late",
        HomeworkOutcome::NotDone => "homework not done",
    }
}

pub fn attendance_mark(outcome: AttendanceOutcome) -> &'static str {
    match outcome {
        AttendanceOutcome::Attended => "came",
        AttendanceOutcome::Late { .. } => "came late",
        AttendanceOutcome::CancelledByClient => "cancelled by the client",
        AttendanceOutcome::Rescheduled => "moved by the client",
        AttendanceOutcome::NoShow => "did not come",
        AttendanceOutcome::CancelledByService | AttendanceOutcome::CancelledUnattributed => COUNTS_FOR_NOTHING,
    }
}

pub fn band(band: Band) -> &'static str {
    match band {
        Band::NothingUnusual => "nothing unusual",
        Band::Watch => "worth watching",
        Band::Flag => "flag",
    }
}

pub fn pattern(pattern: Pattern) -> &'static str {
    match pattern {
        Pattern::None => "neither more like withdrawal nor more like dissatisfaction",
        Pattern::Withdrawal => "a hint: more like withdrawal",
        Pattern::Confrontation => "a hint: more like dissatisfaction",
    }
}

pub fn flag_kind(kind: FlagKind) -> &'static str {
    match kind {
        FlagKind::EngagementDrop => "Engagement",
        FlagKind::NotOnTrack => "Treatment response",
        FlagKind::SafetyItem => "Safety item",
    }
}

pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Named => "Named it in session",
        Verdict::RuptureYes => "There was a rupture",
        Verdict::RuptureNo => "There was no rupture",
        Verdict::RuptureUnsure => "Unsure whether there was a rupture",
        Verdict::SafetyAcknowledged => "Safety item seen",
    }
}

/// Headings of the two tables.
pub const EVIDENCE_HEADINGS: [&str; 3] = ["What", "Seen", "Adds"];
pub const VALUES_HEADINGS: [&str; 6] = ["Session", "Attendance", "Questionnaire", "Homework", "Alliance", "Pattern"];
pub const SCORE: &str = "Score";
pub const EXPECTED: &str = "Expected";
pub const THEN: &str = "then";
pub const NOT_RECEIVED: &str = "not received";
pub const DECLINED: &str = "declined";
pub const NOTHING_YET: &str = "Nothing has happened in this record yet.";
pub const NOTHING_ELSE_YET: &str = "Nothing else has happened in this record yet.";
pub const UNNAMED: &str = "Client without a name";
pub const NONE: &str = "–";
pub const TOO_EARLY: &str = "too early to say";
pub const NOTHING_NEW: &str = "nothing new at this step";
pub const AS_A_BAR: &str = "as a bar: right speaks for a rupture, left against it";
pub const HOW_EVIDENCE_ADDS: &str = "Each row adds to, or takes from, what was carried over; the sum is the log-odds of a rupture (0 is as likely as not, −1.4 one in five, +1.4 four in five). A good sign \
     takes away, a channel without data adds nothing, and no single signal decides.";
pub const NOTHING_TO_LISTEN_FOR: &str = "Treatment has ended.";
pub const CASELOAD_CAPTION: &str = "Clients in the order of today's appointments";
pub const CASELOAD_HEADINGS: [&str; 6] =
    ["Time", "Client", "Last eight sessions", "Engagement", "Response", "In a sentence"];
pub const STRIP_TITLE: &str = "The last eight sessions and now";
pub const STRIP_LEGEND: &str = "From the top: score, questionnaire, homework, attendance, pattern. Full, half or hollow: done, in part, not \
     done. Shaded: the last weeks.";
pub const FLAG: &str = "flag";
pub const NOT_ASKED: &str = "none asked for; counts for nothing";
pub const NO_APPOINTMENTS: &str = "no appointments in this record";
