//! A course laid out as columns, one a session, so that the picture, its table and every sentence count the
//! same things.

use super::grammar::{counted, date, number};
use super::{At, Manner, place};
use crate::domain::{
    Administration, Assessment, AttendanceOutcome, Course, Episode, FlagKind, HomeworkOutcome, HomeworkSeen, Measure,
    RomOutcome, RomSeen, ScoreSeen, SlotOutcome, StepKey, Timeline, Why,
};
use jiff::Timestamp;
use std::sync::Arc;

const DAY_SECONDS: f64 = 86_400.0;
/// Sessions looked at: three years of weekly ones. Bounds the page and the time a note takes.
const COLUMNS_MAX: usize = 156;
/// Until there are three sessions to measure by. Not the course's own figure: that one changes later, and a
/// note that has been written stands.
const WEEK_DAYS: f64 = 7.0;
/// A gap of so many nominal intervals is drawn as a break.
const BREAK_INTERVALS: f64 = 1.7;
/// The run-up to a flag counts as "lately" up to so many columns: the strip the eye sees.
const LATELY_COLUMNS_MAX: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// A session that has begun.
    Session,
    /// Cancelled by clinician or service: a break, counts for nothing.
    Break,
    /// Now, or the session about to begin.
    Now,
}

/// One session: what was done before it, whether it took place, and what was made of it at its start.
#[derive(Clone, Debug)]
pub struct Column<'a> {
    pub kind: ColumnKind,
    pub start: Timestamp,
    pub appointments: &'a [Arc<str>],
    pub assessment: Option<&'a Assessment>,
    pub attendance: Vec<AttendanceOutcome>,
    pub rom: Vec<&'a RomSeen>,
    pub homework: Vec<&'a HomeworkSeen>,
    /// Of the primary measure, oldest first.
    pub scores: Vec<&'a ScoreSeen>,
    pub alliance: Vec<&'a Administration>,
    /// Within what the sentences call lately.
    pub recent: bool,
    /// Days since the column before, where that is a break in the rhythm.
    pub gap_days: Option<f64>,
}

impl<'a> Column<'a> {
    fn new(kind: ColumnKind, start: Timestamp, assessment: Option<&'a Assessment>) -> Self {
        Column {
            kind,
            start,
            appointments: assessment.map_or(&[][..], |a| &a.appointments),
            assessment,
            attendance: Vec::new(),
            rom: Vec::new(),
            homework: Vec::new(),
            scores: Vec::new(),
            alliance: Vec::new(),
            recent: false,
            gap_days: None,
        }
    }

    /// The worst of the measures due, as detection counts it.
    pub fn rom_outcome(&self) -> Option<&'a RomSeen> {
        self.rom.iter().copied().max_by_key(|seen| match seen.outcome {
            RomOutcome::Complete => 0,
            RomOutcome::Perfunctory | RomOutcome::Alike => 1,
            RomOutcome::Partial => 2,
            RomOutcome::Missed => 3,
        })
    }

    pub fn homework_outcome(&self) -> Option<&'a HomeworkSeen> {
        self.homework.iter().copied().max_by_key(|seen| match seen.outcome {
            HomeworkOutcome::Done => 0,
            HomeworkOutcome::Late => 1,
            HomeworkOutcome::Partial => 2,
            HomeworkOutcome::NotDone => 3,
        })
    }

    /// What became of the session; a move that still led to one gives way to how that went.
    pub fn attended(&self) -> Option<AttendanceOutcome> {
        self.attendance.iter().copied().max_by_key(|outcome| match outcome {
            AttendanceOutcome::Rescheduled => 0,
            AttendanceOutcome::Attended => 1,
            AttendanceOutcome::Late { .. } => 2,
            AttendanceOutcome::CancelledByService => 3,
            AttendanceOutcome::CancelledUnattributed => 4,
            AttendanceOutcome::CancelledByClient => 5,
            AttendanceOutcome::NoShow => 6,
        })
    }

    /// Moved to another time, and then held.
    pub fn moved(&self) -> bool {
        self.attendance.len() > 1 && self.attendance.contains(&AttendanceOutcome::Rescheduled)
    }
}

/// A course as of one of its assessments.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    pub course: &'a Course,
    pub timeline: Option<&'a Timeline>,
    pub as_of: Timestamp,
    pub current: Option<&'a Assessment>,
    /// Oldest first; the last one is [`ColumnKind::Now`] unless assessment has ended.
    pub columns: Vec<Column<'a>>,
    /// Sessions older than the oldest column.
    pub left_out: usize,
    /// Days between sessions, by this record alone.
    pub interval_days: f64,
    /// The weeks that "the last … weeks" means.
    pub window_weeks: usize,
    /// Before this instant lies the client's own baseline.
    pub baseline_end: Timestamp,
    /// Lately goes back beyond those weeks, to the run-up of a flag: its first session.
    pub since: Option<Timestamp>,
}

impl<'a> Record<'a> {
    /// The timeline only sharpens dates; the sentences are the same without it.
    pub fn new(course: &'a Course, at: At, timeline: Option<&'a Timeline>) -> Self {
        // At the very start of a session its own step speaks: what came after it in the model is not known yet.
        let at_start = |step: &&Assessment| at == At::Open && step.as_of == course.as_of;
        let at = course.steps.last().filter(at_start).map_or(at, |_| At::Step(course.steps.len() - 1));
        let (steps, current, as_of) = cut(course, at);
        let left_out = steps.len().saturating_sub(COLUMNS_MAX);
        let steps = &steps[left_out..];
        let interval_days = interval(steps).unwrap_or(WEEK_DAYS);
        let window_weeks = window_weeks(interval_days);
        let open = course.open.as_ref().filter(|_| at == At::Open);
        let mut columns = columns(steps, open, timeline);
        if let Some(open) = open {
            columns.push(Column::new(ColumnKind::Now, as_of, Some(open)));
        }
        place::place(&mut columns, timeline, as_of);
        if let (At::Step(_), Some(last)) = (at, columns.last_mut()) {
            last.kind = ColumnKind::Now;
        }
        let mut record = Record {
            course,
            timeline,
            as_of,
            current,
            columns,
            left_out,
            interval_days,
            window_weeks,
            baseline_end: as_of,
            since: None,
        };
        record.mark();
        record
    }

    fn mark(&mut self) {
        // Half a day of slack: "three weeks ago at the same hour" belongs to the three weeks.
        let window_days = self.window_weeks as f64 * 7.0 + 0.5;
        let since = earlier(self.as_of, window_days);
        // What led up to a standing flag is no baseline, however long ago it opened.
        let run_up_days = window_days - self.interval_days.min(7.0);
        self.baseline_end = self
            .active(FlagKind::EngagementDrop)
            .map_or(since, |episode| since.min(earlier(episode.opened, run_up_days)));
        let after = |from: Timestamp| self.columns.iter().filter(move |column| column.start >= from);
        let reaches_back = after(self.baseline_end).count() <= LATELY_COLUMNS_MAX;
        let lately = if reaches_back { self.baseline_end } else { since };
        self.since = after(lately).next().map(|column| column.start).filter(|start| *start < since);
        let mut before: Option<Timestamp> = None;
        for column in &mut self.columns {
            column.recent = column.start >= lately;
            let days = before.map(|b| days_between(b, column.start));
            column.gap_days = days
                .filter(|d| *d >= BREAK_INTERVALS * self.interval_days && *d >= 2.0)
                .filter(|_| column.kind != ColumnKind::Break);
            before = Some(column.start);
        }
    }

    pub fn recent(&self) -> impl Iterator<Item = &Column<'a>> {
        self.columns.iter().filter(|column| column.recent)
    }

    /// Neither lately nor baseline: after the run-up of a flag that has stood for long.
    pub fn between(&self) -> impl Iterator<Item = &Column<'a>> {
        self.columns.iter().filter(|column| column.start >= self.baseline_end && !column.recent)
    }

    /// "in the last three weeks", "since 6 November".
    pub fn lately(&self, manner: &Manner) -> String {
        match self.since {
            Some(since) => format!("since {}", date(since, self.as_of, manner)),
            None => format!("in the last {} weeks", number(self.window_weeks)),
        }
    }

    pub fn baseline(&self) -> impl Iterator<Item = &Column<'a>> {
        self.columns.iter().filter(|column| column.start < self.baseline_end)
    }

    /// No appointments: the columns are weeks.
    pub fn weekly(&self) -> bool {
        self.columns.iter().any(|column| column.assessment.is_some_and(|a| matches!(a.key, StepKey::Week(_))))
    }

    /// "two sessions", "three weeks": so many columns; "14 appointments" where not all of them took place.
    pub fn columns_counted(&self, n: usize) -> String {
        use AttendanceOutcome as O;
        let held =
            |c: &Column| matches!(c.attended(), None | Some(O::Attended | O::Late { .. } | O::CancelledByService));
        if self.weekly() {
            counted(n, "week", "weeks")
        } else if self.columns.iter().filter(|c| c.kind == ColumnKind::Session).all(held) {
            counted(n, "session", "sessions")
        } else {
            counted(n, "appointment", "appointments")
        }
    }

    /// Sessions that have begun, breaks left out.
    pub fn sessions(&self) -> usize {
        self.columns.iter().filter(|column| column.kind == ColumnKind::Session).count()
    }

    /// The last session that was kept.
    pub fn last_kept(&self) -> Option<&Column<'a>> {
        use AttendanceOutcome as O;
        self.columns.iter().rev().find(|c| matches!(c.attended(), Some(O::Attended | O::Late { .. })))
    }

    /// A flag stands, and what is known by now would not raise it.
    pub fn fading(&self) -> bool {
        let low = |now: &Assessment| now.engagement_probability < super::FADES_BELOW && !now.no_contact;
        self.active(FlagKind::EngagementDrop).is_some() && self.current.is_some_and(low)
    }

    /// The episode of this kind that stands as of this assessment.
    pub fn active(&self, kind: FlagKind) -> Option<&'a Episode> {
        let stands = |episode: &&Episode| {
            let opened = episode.opened < self.as_of || (episode.opened == self.as_of && self.shows(kind));
            episode.kind == kind && opened && !self.is_closed(episode)
        };
        self.course.episodes.iter().rev().find(stands)
    }

    /// Why the score is off track, as it is now: a standstill may have become a deterioration since it was flagged.
    pub(super) fn off_track(&self) -> Option<Why> {
        let why = self.active(FlagKind::NotOnTrack)?.why;
        let worse = super::scores::reliably_worse(&self.scores()).is_some_and(|(_, running)| running > 1);
        Some(if why == Why::Plateau && worse { Why::ReliableDeterioration } else { why })
    }

    /// The last episode of this kind that has closed by now.
    pub fn last_closed(&self, kind: FlagKind) -> Option<&'a Episode> {
        self.course.episodes.iter().rev().find(|episode| episode.kind == kind && self.is_closed(episode))
    }

    fn is_closed(&self, episode: &Episode) -> bool {
        episode.closed.is_some_and(|(closed, _)| closed <= self.as_of)
    }

    /// What a fact of this very instant opened is not known yet: the assessment itself says which Flags it shows.
    /// Without one no fact has opened anything: it is an answer without a date, and stands.
    fn shows(&self, kind: FlagKind) -> bool {
        self.current.is_none_or(|current| current.flags.contains(&kind))
    }

    /// Treatment has ended as of this assessment.
    pub fn ended(&self) -> Option<Timestamp> {
        self.course.ended.filter(|ended| *ended <= self.as_of)
    }

    pub fn scores(&self) -> Vec<&'a ScoreSeen> {
        let measure = self.measure();
        self.columns
            .iter()
            .flat_map(|column| column.scores.iter().copied())
            .filter(|seen| measure.is_none_or(|m| m.canonical == seen.measure.canonical))
            .collect()
    }

    /// Items left out of the form this score comes from: where there are any, the total is an estimate.
    pub fn left_out_of(&self, score: &ScoreSeen) -> u16 {
        let mut forms = self.columns.iter().flat_map(|column| &column.rom);
        let form = forms.rfind(|form| form.source.as_ref() == Some(&score.source));
        form.map_or(0, |form| form.expected.saturating_sub(form.answered))
    }

    /// The total of a form, where the timeline is at hand: also of a measure that is not the primary one.
    pub fn total_of(&self, form: &RomSeen) -> Option<(f64, &'a Measure)> {
        let source = form.source.as_ref()?;
        let given = self.timeline?.administrations.iter().find(|given| given.source == *source)?;
        Some((given.score?, &given.measure))
    }

    /// More than one outcome measure is in use: a score of one says nothing of the other.
    pub fn several_measures(&self) -> bool {
        let mut names =
            self.columns.iter().flat_map(|c| &c.rom).filter_map(|form| Some(&form.measure.as_ref()?.canonical));
        let first = names.next();
        names.any(|name| Some(name) != first)
    }

    /// The primary measure: the one the latest score was given in.
    pub fn measure(&self) -> Option<&'a Arc<Measure>> {
        self.columns.iter().rev().find_map(|column| column.scores.last().map(|seen| &seen.measure))
    }

    pub fn slot_outcome_says_unhappy(&self) -> Option<Timestamp> {
        self.timeline?
            .slots
            .iter()
            .rev()
            .find(|slot| {
                slot.unhappy_or_changed_provider
                    && slot.outcome == SlotOutcome::CancelledByClient
                    && slot.outcome_known < self.as_of
            })
            .map(|slot| slot.start)
    }
}

/// The steps of the record, the assessment spoken of, and its instant.
fn cut(course: &Course, at: At) -> (&[Assessment], Option<&Assessment>, Timestamp) {
    match at {
        At::Step(i) if i < course.steps.len() => {
            let step = &course.steps[i];
            (&course.steps[..=i], Some(step), step.as_of)
        }
        At::Step(_) | At::Open => (&course.steps, course.open.as_ref().or(course.steps.last()), course.as_of),
    }
}

fn columns<'a>(
    steps: &'a [Assessment],
    open: Option<&'a Assessment>,
    timeline: Option<&'a Timeline>,
) -> Vec<Column<'a>> {
    let mut columns = Vec::with_capacity(steps.len() + 1);
    for step in steps.iter().chain(open) {
        for (outcome, source) in &step.seen.attendance {
            let its_own_step = || steps.iter().any(|s| s.appointments.contains(&source.id));
            if *outcome == AttendanceOutcome::CancelledByService && !its_own_step() {
                let start = timeline
                    .and_then(|t| t.slots.iter().find(|slot| slot.source == *source))
                    .map_or(step.as_of, |slot| slot.start);
                let mut column = Column::new(ColumnKind::Break, start, None);
                column.attendance.push(*outcome);
                columns.push(column);
            }
        }
    }
    columns.extend(steps.iter().map(|step| Column::new(ColumnKind::Session, step.as_of, Some(step))));
    columns.sort_by_key(|column: &Column| column.start);
    columns
}

/// Median gap between steps, days.
fn interval(steps: &[Assessment]) -> Option<f64> {
    let mut gaps: Vec<f64> =
        steps.windows(2).map(|pair| days_between(pair[0].as_of, pair[1].as_of)).filter(|days| *days > 0.1).collect();
    gaps.sort_by(f64::total_cmp);
    (gaps.len() >= 2).then(|| gaps[gaps.len() / 2])
}

/// Three weeks, or three sessions where these are further apart.
fn window_weeks(interval_days: f64) -> usize {
    if interval_days <= 10.0 { 3 } else { (3.0 * interval_days / 7.0).round().clamp(3.0, 12.0) as usize }
}

pub(super) fn days_between(from: Timestamp, to: Timestamp) -> f64 {
    (to.as_second() - from.as_second()) as f64 / DAY_SECONDS
}

fn earlier(at: Timestamp, days: f64) -> Timestamp {
    Timestamp::from_second(at.as_second() - (days * DAY_SECONDS) as i64).unwrap_or(Timestamp::MIN)
}
