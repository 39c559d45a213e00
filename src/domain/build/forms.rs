//! A response becomes the administration of a measure.

use crate::domain::definition::{ItemDefinition, Method, Part, Reading};
use crate::domain::fact::{AnswerValue, Response, ResponseState};
use crate::domain::{Administration, Definition, Measures, SafetyAnswer, Source, Subscale, Timeline, Undated, Worse};
use jiff::Timestamp;
use std::sync::Arc;

/// Of a response: when its sender last wrote it, and when we did.
#[derive(Clone, Copy)]
pub struct Known {
    pub updated: Option<Timestamp>,
    pub received: Option<Timestamp>,
}

/// The administrations in one response: one, or several where a form holds the items of several measures.
pub fn read(source: &Source, response: &Response, known: Known, measures: &Measures, timeline: &mut Timeline) {
    if response.state == ResponseState::Void {
        return;
    }
    let readings = measures.read(response);
    let Some(at) = response.authored.or(known.updated) else {
        timeline.undated.extend(readings.iter().map(|reading| Undated {
            source: source.clone(),
            measure: Arc::clone(&reading.known.definition.measure),
            safety: Sheet::read(response, reading).safety.map(|value| SafetyAnswer { value }),
        }));
        return;
    };
    // Not at the end of a day, nor when a clock that is ahead says so: at the beginning of what `authored` names, and
    // at the latest when it came. Past forms are not touched by when they came.
    let safety_told = response.authored_from.unwrap_or(at).min(at).min(known.received.unwrap_or(Timestamp::MAX));
    let written = known.updated.map(|updated| updated.min(known.received.unwrap_or(Timestamp::MAX)));
    let safety = (safety_told, written.map_or(safety_told, |written| written.max(safety_told)));
    // The seconds are those of the whole form, so they say nothing of one of several measures.
    let seconds = response.seconds.filter(|_| readings.len() == 1);
    let read = readings.iter().map(|reading| administration(source, response, at, safety, seconds, reading));
    timeline.administrations.extend(read);
}

fn administration(
    source: &Source,
    response: &Response,
    at: Timestamp,
    (safety_told, safety_known): (Timestamp, Timestamp),
    seconds: Option<f64>,
    reading: &Reading,
) -> Administration {
    let definition = &reading.known.definition;
    let sheet = Sheet::read(response, reading);
    let finished = response.state == ResponseState::Finished;
    let score = sheet.score(definition);
    let complete = finished && sheet.complete(definition, score);
    let answers = if definition.score_only {
        vec![score.map(|score| score as f32)]
    } else {
        sheet.items.iter().map(|item| item.map(|points| points as f32)).collect()
    };
    Administration {
        source: source.clone(),
        measure: Arc::clone(&definition.measure),
        at,
        finished,
        score: score.filter(|_| finished),
        answers,
        seconds,
        subscales: sheet.subscales(definition),
        safety: sheet.safety.map(|value| SafetyAnswer { value }),
        safety_told,
        safety_known,
        complete,
    }
}

/// The answers of one response, sorted into the places of one measure.
struct Sheet {
    items: Vec<Option<f64>>,
    total: Option<f64>,
    /// A total was sent, whatever it was.
    total_sent: bool,
    sent: Vec<Option<f64>>,
    safety: Option<f64>,
    /// An item's answer lies outside its range: the coding is not the measure's, so the items are not added up.
    doubtful: bool,
}

impl Sheet {
    fn read(response: &Response, reading: &Reading) -> Self {
        let definition = &reading.known.definition;
        let mut sheet = Sheet {
            items: vec![None; definition.items.len()],
            total: None,
            total_sent: false,
            sent: vec![None; definition.subscales.len()],
            safety: None,
            doubtful: false,
        };
        for answer in &response.answers {
            match reading.part(&answer.link) {
                Some(Part::Item(n)) => {
                    let item = &definition.items[usize::from(n)];
                    let (points, as_sent) = match &answer.value {
                        AnswerValue::Number(number) if item.reversed => (Some(item.min + item.max - number), *number),
                        AnswerValue::Number(points) | AnswerValue::Ordinal(points) => (Some(*points), *points),
                        AnswerValue::Coded(code) => match reading.points(item, &answer.link, code) {
                            Some(points) => (Some(points), points),
                            None => continue,
                        },
                    };
                    if definition.safety == Some(n) {
                        sheet.safety = Some(sheet.safety.map_or(as_sent, |other| other.max(as_sent)));
                    }
                    sheet.item(definition, usize::from(n), item, points);
                }
                Some(Part::Total) => {
                    sheet.total_sent = true;
                    sheet.total = number(&answer.value).filter(|total| in_range(definition, *total)).or(sheet.total);
                }
                Some(Part::Subscale(n)) => {
                    let n = usize::from(n);
                    let range = subscale_range(definition, n);
                    let sent = number(&answer.value).filter(|value| range.0 <= *value && *value <= range.1);
                    sheet.sent[n] = sent.or(sheet.sent[n]);
                }
                None => {}
            }
        }
        sheet
    }

    /// Two answers to one item: the worse one stands, as on paper.
    fn item(&mut self, definition: &Definition, n: usize, item: &ItemDefinition, points: Option<f64>) {
        let Some(points) = points.filter(|points| (item.min..=item.max).contains(points)) else {
            self.doubtful = true;
            return;
        };
        self.items[n] = Some(match (self.items[n], definition.measure.worse) {
            (None, _) => points,
            (Some(other), Worse::Up) => other.max(points),
            (Some(other), Worse::Down) => other.min(points),
        });
    }

    /// The total where it was sent, else worked out; one out of range is no score, and neither are items beside it.
    fn score(&self, definition: &Definition) -> Option<f64> {
        if self.total_sent {
            return self.total;
        }
        self.added_up(definition)
            .or_else(|| self.subscales_added_up(definition))
            .filter(|score| in_range(definition, *score))
    }

    fn added_up(&self, definition: &Definition) -> Option<f64> {
        let given: Vec<f64> = self.items.iter().flatten().copied().collect();
        let missing = self.items.len() - given.len();
        if self.doubtful || given.is_empty() || missing > usize::from(definition.missing_max) {
            return None;
        }
        let sum: f64 = given.iter().sum();
        let count = given.len() as f64;
        Some(match definition.method {
            Method::Sum if missing == 0 => sum,
            Method::Sum => sum / count * self.items.len() as f64,
            Method::MeanTimes(factor) => sum / count * factor,
        })
    }

    fn subscales_added_up(&self, definition: &Definition) -> Option<f64> {
        let covered: usize = definition.subscales.iter().map(|subscale| subscale.items.len()).sum();
        if definition.method != Method::Sum || definition.subscales.is_empty() || covered != definition.items.len() {
            return None;
        }
        self.sent.iter().copied().sum()
    }

    fn complete(&self, definition: &Definition, score: Option<f64>) -> bool {
        let answered = self.items.iter().flatten().count();
        if definition.score_only || answered == 0 {
            return score.is_some();
        }
        answered == self.items.len()
    }

    fn subscales(&self, definition: &Definition) -> Vec<(Subscale, f64)> {
        let added = |items: &[u16]| -> Option<f64> {
            (!self.doubtful && !items.is_empty())
                .then(|| items.iter().map(|n| self.items.get(usize::from(*n)).copied().flatten()).sum())
                .flatten()
        };
        let all = definition.subscales.iter().zip(&self.sent);
        let mut found: Vec<_> = all
            .filter_map(|(subscale, sent)| Some((subscale.subscale, sent.or_else(|| added(&subscale.items))?)))
            .collect();
        found.sort_by_key(|(subscale, _)| *subscale);
        found
    }
}

fn number(value: &AnswerValue) -> Option<f64> {
    match value {
        AnswerValue::Number(number) | AnswerValue::Ordinal(number) => Some(*number),
        AnswerValue::Coded(_) => None,
    }
}

fn in_range(definition: &Definition, score: f64) -> bool {
    (definition.measure.min..=definition.measure.max).contains(&score)
}

fn subscale_range(definition: &Definition, n: usize) -> (f64, f64) {
    let items = definition.subscales[n].items.iter().filter_map(|n| definition.items.get(usize::from(*n)));
    let (low, high) = items.fold((0.0, 0.0), |(low, high), item| (low + item.min, high + item.max));
    if low < high { (low, high) } else { (f64::NEG_INFINITY, f64::INFINITY) }
}
