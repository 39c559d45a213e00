//! Tasks become measures due, and homework.

use super::{Resources, standing};
use crate::domain::fact::{Ask, Fact, ResponseState, Task, TaskState};
use crate::domain::{Homework, HomeworkState, MeasureDue, Measures, Source, SourceKind, Timeline};
use jiff::Timestamp;
use std::sync::Arc;

pub fn read(
    source: &Source,
    task: &Task,
    updated: Option<Timestamp>,
    measures: &Measures,
    all: &Resources,
    timeline: &mut Timeline,
) {
    let done = (task.state == TaskState::Done).then(|| task.done.or(updated).or(task.due)).flatten();
    // Without any date of asking, it was asked for by the time of the first thing it says.
    let earliest = [updated, task.due, done].into_iter().flatten().min();
    let (Some(given), true) = (task.given.or(earliest), task.state != TaskState::Void) else { return };
    match &task.ask {
        Ask::Measure { questionnaires, response } => {
            let response = response.as_deref().and_then(|id| named(id, all));
            let due = |measure| MeasureDue {
                source: source.clone(),
                measure,
                asked: given,
                due: task.due,
                response: response.clone(),
                completed: done,
                withdrawn: task.state == TaskState::Withdrawn,
            };
            let mut known: Vec<_> = questionnaires.iter().filter_map(|name| measures.get(name)).collect();
            known.sort_by(|a, b| a.definition.measure.canonical.cmp(&b.definition.measure.canonical));
            known.dedup_by(|a, b| Arc::ptr_eq(a, b));
            if known.is_empty() {
                timeline.dues.push(due(None));
            }
            timeline.dues.extend(known.iter().map(|known| due(Some(Arc::clone(&known.definition.measure)))));
        }
        Ask::Neither => {}
        Ask::Homework { completion, quality, minutes, words, title } => {
            let (state, state_known) = match task.state {
                TaskState::Done => (HomeworkState::Done, done),
                TaskState::NotDone | TaskState::Declined => (HomeworkState::NotDone, task.due),
                TaskState::Withdrawn => (HomeworkState::Withdrawn, None),
                TaskState::Open | TaskState::Void => (HomeworkState::Open, None),
            };
            timeline.homework.push(Homework {
                source: source.clone(),
                assigned: given,
                due: task.due,
                state,
                state_known,
                completion: *completion,
                quality: *quality,
                minutes: *minutes,
                words: *words,
                title: title.as_deref().map(str::to_owned),
                declined: task.state == TaskState::Declined,
            });
        }
    }
}

/// The response a Task's output names, unless it was entered in error or deleted. One we have not been sent still
/// says that there is one.
fn named(id: &str, all: &Resources) -> Option<Source> {
    let source = Source::new(SourceKind::QuestionnaireResponse, id);
    let gone = all.get(&source).is_some_and(|versions| match standing(versions).map(|standing| standing.fact) {
        Some(Fact::Response(response)) => response.state == ResponseState::Void,
        _ => true,
    });
    (!gone).then_some(source)
}
