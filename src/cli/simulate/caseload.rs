//! The caseload of the demo: two invented therapists and their clients, seen from a given instant, with next
//! appointments today and in the days to come.

use super::chance::Chance;
use super::history::*;
use super::stories::{Next, STORIES, Story};
use super::{names, resources};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::HashMap;

const FULL_URL: &str = "https://tautline.example/fhir";
/// Entries in a Bundle of ours.
const BUNDLE_ENTRIES_MAX: usize = 100;
/// The first of the day's hours, UTC; later if the day is already further on.
const FIRST_HOUR: i64 = 8;
const DAY: i64 = 86_400;

/// Transaction Bundles of PUTs, at most a hundred entries each, to be posted in this order. Each holds the
/// Patient and Practitioners it refers to; posting all of them twice changes nothing.
pub fn demo_caseload(clients: usize, seed: u64, now: Timestamp) -> Vec<Value> {
    let mut diary = Diary::of(now);
    let mut bundles = Vec::new();
    for n in 0..clients {
        let mut chance = Chance::new(seed, 1_000_000 + n as u64);
        let history = match STORIES.get(n) {
            Some(story) => told(&mut chance, n, story, &mut diary, now),
            None => calm(&mut chance, n, &mut diary, now),
        };
        bundle(&resources::write(&history), &mut bundles);
    }
    bundles
}

/// Free hours of two therapists, handed out in turn.
struct Diary {
    midnight: Timestamp,
    first: Timestamp,
    apart_minutes: i64,
    taken: HashMap<(i64, usize), i64>,
}

impl Diary {
    fn of(now: Timestamp) -> Diary {
        let midnight = Timestamp::new(now.as_second().div_euclid(DAY) * DAY, 0).expect("a day we can name");
        let soon = now.as_second().div_euclid(1800) * 1800 + 3600;
        let first = Timestamp::new(soon, 0).expect("soon").max(midnight + hours(FIRST_HOUR));
        let left = (midnight + hours(23)).as_second() - first.as_second();
        // An evening demo still has its clients today, if closer together than any clinic would.
        let apart_minutes = (left / 60 / 5).clamp(5, 60) / 5 * 5;
        Diary { midnight, first, apart_minutes, taken: HashMap::new() }
    }

    fn take(&mut self, day: i64, therapist: usize) -> i64 {
        let taken = self.taken.entry((day, therapist)).or_default();
        *taken += 1;
        *taken - 1
    }

    fn today(&mut self, therapist: usize) -> Timestamp {
        self.first + minutes(self.apart_minutes * self.take(0, therapist))
    }

    fn on(&mut self, day: i64, therapist: usize) -> Timestamp {
        // 1 January 1970 was a Thursday. Weekends are free: Friday before, or else Monday after; never more than
        // six days ahead, so that the session before lies in the past.
        let weekday = ((self.midnight + days(day)).as_second() / DAY + 3).rem_euclid(7);
        let day = match weekday {
            5.. if day > weekday - 4 => day - (weekday - 4),
            5.. => day + 7 - weekday,
            _ => day,
        };
        self.midnight + days(day) + hours(FIRST_HOUR + self.take(day, therapist))
    }
}

/// One client's columns and where they stand in time.
struct Columns {
    came: Vec<char>,
    home: Vec<char>,
    forms: Vec<char>,
    score: Vec<(usize, f64)>,
    alliance: Vec<(usize, f64)>,
    instrument: Instrument,
    safety_from: Option<usize>,
    /// Treatment ended as planned after the last column.
    ended: bool,
    /// Start of the column after the last session: the next appointment, or where it would have been.
    next: Timestamp,
    booked: bool,
    now: Timestamp,
    timed: bool,
    asked: bool,
}

impl Columns {
    fn start(&self, column: usize) -> Timestamp {
        self.next - days(7 * (self.came.len() - column) as i64)
    }
}

fn told(chance: &mut Chance, n: usize, story: &Story, diary: &mut Diary, now: Timestamp) -> History {
    let (next, booked) = match story.next {
        Next::Today => (diary.today(n % 2), true),
        Next::In(day) => (diary.on(day, n % 2), true),
        Next::Gone(ago) | Next::Ended(ago) => (diary.midnight + hours(10) - days(ago) + days(7), false),
    };
    let columns = Columns {
        came: story.came.chars().collect(),
        home: story.home.chars().collect(),
        forms: story.forms.chars().collect(),
        score: story.score.to_vec(),
        alliance: story.alliance.to_vec(),
        instrument: story.instrument,
        safety_from: story.safety_from,
        ended: matches!(story.next, Next::Ended(_)),
        next,
        booked,
        now,
        timed: true,
        asked: n % 3 != 1,
    };
    written(chance, n, &columns)
}

/// A client with whom nothing is the matter, but who is no machine.
fn calm(chance: &mut Chance, n: usize, diary: &mut Diary, now: Timestamp) -> History {
    let sessions = chance.whole(4, 26) as usize;
    let draw = |chance: &mut Chance, n: usize, marks: &[char], weights: &[f64]| -> Vec<char> {
        (0..n).map(|_| marks[chance.weighted(weights)]).collect()
    };
    let came = draw(chance, sessions, &['+', 'l', 'm', 'c', 'x', ' '], &[0.9, 0.03, 0.03, 0.015, 0.02, 0.01]);
    let home = draw(chance, sessions + 1, &['d', 'p', 'o', ' '], &[0.76, 0.13, 0.03, 0.08]);
    let forms = draw(chance, sessions + 1, &['a', '8', '-'], &[0.96, 0.02, 0.02]);
    let first = chance.within(15.0, 3.5, 9.0, 22.0);
    let last = first * chance.within(0.32, 0.1, 0.1, 0.5);
    let liking = chance.within(36.5, 1.0, 33.0, 39.0);
    let columns = Columns {
        came,
        home,
        forms,
        score: vec![(0, first), (sessions.div_ceil(3), 0.6 * first), (sessions, last)],
        alliance: if n.is_multiple_of(4) { vec![(0, liking), (sessions, (liking + 1.0).min(39.5))] } else { vec![] },
        instrument: if n % 5 == 2 { Instrument::Gad7 } else { Instrument::Phq9 },
        safety_from: None,
        ended: false,
        next: diary.on(1 + (n as i64 / 2 % 6), n % 2),
        booked: true,
        now,
        timed: !n.is_multiple_of(3),
        asked: n.is_multiple_of(2),
    };
    written(chance, n, &columns)
}

fn written(chance: &mut Chance, n: usize, columns: &Columns) -> History {
    let patient = format!("demo-{:02}", n + 1);
    let began = columns.start(0) - days(9);
    let finished = columns.ended.then(|| columns.start(columns.came.len() - 1) + hours(1));
    let mut history = History {
        identity: names::distinct(n),
        patient,
        therapists: vec![names::therapist("demo", n % 2)],
        slots: Vec::new(),
        asks: Vec::new(),
        forms: Vec::new(),
        homework: Vec::new(),
        episode: Some(Episode { from: began, finished }),
    };
    let mut booked = began;
    let mut homework_from = None;
    for column in 0..=columns.came.len() {
        let start = columns.start(column);
        if let Some(assigned) = homework_from {
            set_homework(chance, columns, column, assigned, &mut history);
        }
        fill_in(chance, columns, column, &mut history);
        let Some(mark) = columns.came.get(column) else {
            if columns.booked {
                history.slots.push(slot(start, booked, Fate::Booked));
            }
            break;
        };
        if *mark != ' ' {
            history.slots.push(attended(chance, *mark, start, booked, columns.now));
            if column > 0 || *mark == '+' {
                booked = start + minutes(SESSION_MINUTES);
            }
        }
        if matches!(mark, '+' | 'l' | 'm') {
            let held = history.slots.last().expect("just made").start;
            homework_from = Some(held + minutes(SESSION_MINUTES));
            rate_alliance(chance, columns, column, held, &mut history);
        }
    }
    history
}

fn slot(start: Timestamp, booked: Timestamp, fate: Fate) -> Slot {
    Slot { start, booked, therapist: 0, fate, moved: None, encounter: false }
}

fn attended(chance: &mut Chance, mark: char, start: Timestamp, booked: Timestamp, now: Timestamp) -> Slot {
    let called_off = |reason, notice| Fate::Cancelled { at: (start - hours(notice)).max(booked), reason: Some(reason) };
    match mark {
        'l' => slot(start, booked, Fate::Kept { late: Some(chance.whole(11, 19)) }),
        'n' => slot(start, booked, Fate::NoShow),
        'c' => slot(start, booked, called_off("pat", chance.whole(3, 20))),
        'x' => slot(start, booked, called_off("prov", chance.whole(20, 90))),
        'm' if start + days(1) + hours(1) < now => {
            let mut moved = slot(start + days(1), booked, Fate::Kept { late: Some(0) });
            moved.moved = Some((start, start - hours(chance.whole(20, 60))));
            moved
        }
        _ => slot(start, booked, Fate::Kept { late: Some(chance.whole(0, 3)) }),
    }
}

fn set_homework(chance: &mut Chance, columns: &Columns, column: usize, assigned: Timestamp, history: &mut History) {
    const TITLES: [&str; 5] =
        ["Thought record", "Activity diary", "Mood diary", "Graded exposure, step by step", "Values worksheet"];
    let mark = *columns.home.get(column).unwrap_or(&' ');
    let due = columns.start(column) - hours(24);
    if mark == ' ' || assigned >= due {
        return;
    }
    let done = (due - hours(chance.whole(2, 40))).max(assigned + hours(1));
    let known = done < columns.now;
    let (percent, quality, words) = match mark {
        'd' => (100, chance.whole(2, 4), chance.whole(60, 140)),
        'q' => (100, 1, chance.whole(12, 30)),
        _ => (40, 2, chance.whole(20, 50)),
    };
    let result = match mark {
        'd' | 'q' | 'p' if known => HomeworkResult::Done(done),
        'x' => HomeworkResult::Withdrawn(assigned + hours(20)),
        _ => HomeworkResult::Open,
    };
    let told = matches!(result, HomeworkResult::Done(_));
    history.homework.push(Homework {
        title: TITLES[(column / 3) % TITLES.len()],
        assigned,
        due: Some(due),
        result,
        percent: told.then_some(percent),
        quality: told.then_some(quality),
        minutes: None,
        words: told.then_some(words),
    });
}

fn fill_in(chance: &mut Chance, columns: &Columns, column: usize, history: &mut History) {
    let mark = *columns.forms.get(column).unwrap_or(&' ');
    let start = columns.start(column);
    let (asked, due) = (start - hours(52), start - hours(24));
    if mark == ' ' || asked >= columns.now {
        return;
    }
    let instrument = columns.instrument;
    let items = if instrument == Instrument::Gad7 { 7 } else { 9 };
    let answered = match mark {
        'a' | 'f' => items,
        '-' => 0,
        digit => digit.to_digit(10).map_or(items, |n| n as usize).min(items),
    };
    let at = due - hours(chance.whole(1, 18)) - minutes(chance.whole(0, 59));
    let answer = (answered > 0 && at < columns.now).then(|| {
        let points = bend(&columns.score, column) + chance.normal(0.0, 0.5);
        let safety = columns.safety_from.is_some_and(|from| column >= from);
        let fast = if mark == 'f' { 0.45 } else { 1.0 };
        let pace = chance.log_normal(5.4, 0.12) * fast * (1.0 - 0.012 * column.min(12) as f64);
        history.forms.push(Form {
            instrument,
            at,
            answers: Answers::Items(spread(points.round().max(0.0) as usize, items, answered, safety)),
            seconds: columns.timed.then_some(pace * answered as f64),
            finished: true,
        });
        history.forms.len() - 1
    });
    if columns.asked {
        history.asks.push(Ask { instrument, asked, due, answer, withdrawn: None });
    }
}

fn rate_alliance(chance: &mut Chance, columns: &Columns, column: usize, held: Timestamp, history: &mut History) {
    if columns.alliance.is_empty() {
        return;
    }
    let score = (bend(&columns.alliance, column) + chance.normal(0.0, 0.6)).clamp(0.0, 40.0);
    history.forms.push(Form {
        instrument: Instrument::Srs,
        at: held + minutes(SESSION_MINUTES + 4),
        answers: Answers::Total((score * 10.0).round() / 10.0),
        seconds: None,
        finished: true,
    });
}

/// The value at a column of a line that bends at the given points.
fn bend(points: &[(usize, f64)], column: usize) -> f64 {
    let after = points.iter().position(|(at, _)| *at >= column);
    match after {
        None => points.last().map_or(0.0, |(_, value)| *value),
        Some(0) => points[0].1,
        Some(next) => {
            let ((from, low), (to, high)) = (points[next - 1], points[next]);
            low + (high - low) * (column - from) as f64 / (to - from) as f64
        }
    }
}

/// Points over items, the last item of a PHQ-9 apart; items left open from the middle of the form on.
fn spread(points: usize, items: usize, answered: usize, safety: bool) -> Vec<Option<u8>> {
    let free = if items == 9 { 8 } else { items };
    let mut answers = vec![0u8; items];
    if safety && items == 9 {
        answers[8] = 1;
    }
    for n in 0..points.min(3 * free) {
        answers[(n * 3 + n / free) % free] += 1;
    }
    let open: Vec<usize> = [5, 3, 6, 1, 4, 2, 0, 7, 8].into_iter().take(items - answered).collect();
    answers.into_iter().enumerate().map(|(n, answer)| (!open.contains(&n)).then_some(answer.min(3))).collect()
}

fn bundle(resources: &[Value], bundles: &mut Vec<Value>) {
    let key = |resource: &Value| (resource["resourceType"].to_string(), resource["id"].to_string());
    let (shared, own): (Vec<&Value>, Vec<&Value>) = resources
        .iter()
        .partition(|resource| resource["resourceType"] == "Practitioner" || resource["resourceType"] == "Patient");
    // A resource may stand only once in a transaction: second versions go into a later Bundle.
    let mut seen: HashMap<_, usize> = HashMap::new();
    let mut layers: Vec<Vec<&Value>> = Vec::new();
    for resource in own {
        let layer = seen.entry(key(resource)).and_modify(|layer| *layer += 1).or_default();
        if layers.len() <= *layer {
            layers.push(Vec::new());
        }
        layers[*layer].push(resource);
    }
    for chunk in layers.iter().flat_map(|layer| layer.chunks(BUNDLE_ENTRIES_MAX - shared.len())) {
        let entries: Vec<Value> = shared.iter().chain(chunk).map(|resource| entry(resource)).collect();
        bundles.push(json!({"resourceType": "Bundle", "type": "transaction", "entry": entries}));
    }
}

fn entry(resource: &Value) -> Value {
    let text = |name: &str| resource[name].as_str().unwrap_or_default().to_owned();
    let url = format!("{}/{}", text("resourceType"), text("id"));
    json!({
        "fullUrl": format!("{FULL_URL}/{url}"),
        "resource": resource,
        "request": {"method": "PUT", "url": url},
    })
}
