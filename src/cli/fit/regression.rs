//! The expected course by least squares, and the calibration by logistic regression.

use crate::detection::Constants;
use crate::detection::constants::{Calibration, Learned};
use crate::domain::{Role, Timeline};

/// Scores of one client on the common scale, by slot: the first, and (slots since, score).
pub struct Course {
    first: f64,
    later: Vec<(f64, f64)>,
}

impl Course {
    pub fn of(timeline: &Timeline) -> Option<Course> {
        let scored: Vec<_> = timeline
            .administrations
            .iter()
            .filter(|form| form.measure.role == Role::Outcome && form.finished)
            .filter_map(|form| Some((form, form.measure.u(form.score?)?)))
            .collect();
        let (form, first) = scored.first()?;
        let slots = |at| timeline.slots.partition_point(|slot| slot.start <= at) as f64;
        let begun = slots(form.at);
        let same = scored[1..].iter().filter(|(other, _)| other.measure.canonical == form.measure.canonical);
        let later: Vec<_> = same.map(|(form, u)| (slots(form.at) - begun, *u)).filter(|(n, _)| *n > 0.0).collect();
        (later.len() >= 2 && *first > 0.0).then_some(Course { first: *first, later })
    }

    pub fn sums(&self) -> (f64, f64, usize) {
        (self.first, self.later.iter().map(|(_, u)| u).sum(), self.later.len())
    }
}

/// Σ e^(−k/decay), k = 1 … n.
fn slots_felt(n: f64, decay: f64) -> f64 {
    let q = (-1.0 / decay).exp();
    q * (1.0 - q.powf(n)) / (1.0 - q)
}

/// first − score = drift·first/15·Σ e^(−k/decay): drift by least squares for each decay, the best of them kept.
pub fn learn_course(courses: &[Course], constants: &mut Constants, learned: &mut Vec<Learned>) {
    let enough = courses.len() >= super::CLIENTS_MIN;
    let mut standard_error = 0.0;
    if enough {
        let mut best: Option<(f64, f64, f64, f64)> = None;
        for decay in (4..=40).map(|half| f64::from(half) / 2.0) {
            let (mut xx, mut xy) = (0.0, 0.0);
            for course in courses {
                // every client counts once, however many scores
                let weight = 1.0 / course.later.len() as f64;
                for (n, u) in &course.later {
                    let x = course.first / 15.0 * slots_felt(*n, decay);
                    xx += weight * x * x;
                    xy += weight * x * (course.first - u);
                }
            }
            let drift = xy / xx.max(1e-12);
            let rest = |course: &Course| {
                let one = |(n, u): &(f64, f64)| {
                    (course.first - u - drift * course.first / 15.0 * slots_felt(*n, decay)).powi(2)
                };
                course.later.iter().map(one).sum::<f64>() / course.later.len() as f64
            };
            let error: f64 = courses.iter().map(rest).sum();
            if best.is_none_or(|(least, ..)| error < least) {
                best = Some((error, drift, decay, xx));
            }
        }
        if let Some((error, drift, decay, xx)) = best {
            constants.trajectory.drift = drift.max(0.0);
            constants.trajectory.drift_decay = decay;
            standard_error = (error / courses.len() as f64 / xx.max(1e-12)).sqrt();
        }
    }
    learned.push(Learned { name: "expected course".into(), count: courses.len(), learned: enough, standard_error });
}

/// What was said before calibration, log-odds, and what was.
#[derive(Clone, Copy)]
pub struct Logit {
    pub said: f64,
    pub was: bool,
}

/// How far a calibration learned from judgements is let off the shipped one: standard deviations of intercept, slope
/// (choice: judgements are few, and nearly all of them about high probabilities).
pub const PRIOR_SD: [f64; 2] = [0.7, 0.2];

/// `clients`: moments by client, of labels (`labelled`) or of judgements.
pub fn learn_calibration(
    clients: &[Vec<Logit>],
    labelled: bool,
    constants: &mut Constants,
    learned: &mut Vec<Learned>,
) {
    let all: Vec<Logit> = clients.iter().flatten().copied().collect();
    let ruptures = all.iter().filter(|one| one.was).count();
    let (enough, count, name) = if labelled {
        let enough = clients.len() >= super::LABELLED_MIN && ruptures >= super::RUPTURE_SLOTS_MIN;
        (enough, clients.len(), "calibration")
    } else {
        let fewest = ruptures.min(all.len() - ruptures);
        let enough = all.len() >= super::JUDGED_MIN && fewest >= super::JUDGED_OF_EACH_MIN;
        (enough, all.len(), "calibration by judgements")
    };
    let shipped = constants.calibration;
    let precision = if labelled { [0.0; 2] } else { PRIOR_SD.map(|sd| 1.0 / (sd * sd)) };
    let mut standard_error = 0.0;
    if let Some((calibration, error)) = enough.then(|| logistic(&all, shipped, precision)).flatten() {
        constants.calibration = calibration;
        standard_error = error;
    }
    learned.push(Learned { name: name.into(), count, learned: standard_error > 0.0, standard_error });
}

/// Mean log-loss of what was said, recalibrated.
pub fn log_loss(all: &[Logit], from: Calibration) -> Option<f64> {
    let (calibration, _) = logistic(all, from, [0.0; 2])?;
    let one = |one: &Logit| {
        let x = calibration.apply(one.said);
        (1.0 + (if one.was { -x } else { x }).exp()).ln()
    };
    Some(all.iter().map(one).sum::<f64>() / all.len() as f64)
}

/// Newton's method on two coefficients with a normal prior about `prior` (precision 0: none). `None` where they cannot
/// be told, or more said would mean less.
fn logistic(all: &[Logit], prior: Calibration, precision: [f64; 2]) -> Option<(Calibration, f64)> {
    let (mut a, mut b) = (prior.intercept, prior.slope);
    let mut information = 0.0;
    for _ in 0..50 {
        let (mut ga, mut gb) = (precision[0] * (prior.intercept - a), precision[1] * (prior.slope - b));
        let (mut aa, mut ab, mut bb) = (precision[0], 0.0, precision[1]);
        for one in all {
            let p = 1.0 / (1.0 + (-(a + b * one.said)).exp());
            let (rest, weight) = (f64::from(u8::from(one.was)) - p, p * (1.0 - p));
            ga += rest;
            gb += rest * one.said;
            aa += weight;
            ab += weight * one.said;
            bb += weight * one.said * one.said;
        }
        let determinant = aa * bb - ab * ab;
        if determinant < 1e-9 {
            return None;
        }
        let (da, db) = ((bb * ga - ab * gb) / determinant, (aa * gb - ab * ga) / determinant);
        (a, b) = (a + da, b + db);
        information = determinant / aa;
        if da.abs() + db.abs() < 1e-10 {
            break;
        }
    }
    let good = a.is_finite() && b.is_finite() && b > 0.05;
    good.then(|| (Calibration { intercept: a, slope: b }, 1.0 / information.sqrt()))
}
