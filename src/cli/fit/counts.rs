//! Population priors of the categorical signals, by the likelihood of what each client did in their first slots.

use crate::detection::constants::{ChannelConstants, Learned, OUTCOMES};
use crate::detection::{self, Constants};
use crate::domain::{SignalKind, Timeline};

/// Slots of each client that count: later ones know more of ruptures, and of the same people.
const SLOTS_MAX: usize = 10;
const ROUNDS: usize = 200;
const WEIGHT: [f64; 2] = [0.5, 60.0];

/// How often one client showed each outcome, in attendance, homework, measures.
pub struct Counts(pub [[f64; OUTCOMES]; 3]);

impl Counts {
    pub fn of(timeline: &Timeline, c: &Constants) -> Counts {
        let mut counts = [[0.0; OUTCOMES]; 3];
        let Some(last) = timeline.slots.iter().map(|slot| slot.start).max() else { return Counts(counts) };
        let kinds = [SignalKind::Attendance, SignalKind::HomeworkEngagement, SignalKind::RomEngagement];
        let channels = [&c.attendance.outcomes, &c.homework.outcomes, &c.rom.outcomes];
        for step in detection::assess(timeline, last, c).steps.iter().take(SLOTS_MAX) {
            for ((count, kind), channel) in counts.iter_mut().zip(kinds).zip(channels) {
                let Some(u) = step.signal(kind).current else { continue };
                // severities that are equal are told apart by nobody: the first of them stands for all
                if let Some(outcome) = channel.severity.iter().position(|severity| *severity == u) {
                    count[outcome] += 1.0;
                }
            }
        }
        Counts(counts)
    }
}

pub fn learn(all: &[Counts], constants: &mut Constants, learned: &mut Vec<Learned>) {
    let channels: [(&str, &mut ChannelConstants); 3] = [
        ("attendance", &mut constants.attendance.outcomes),
        ("homework", &mut constants.homework.outcomes),
        ("rom", &mut constants.rom.outcomes),
    ];
    for (n, (name, channel)) in channels.into_iter().enumerate() {
        let seen: Vec<[f64; OUTCOMES]> =
            all.iter().map(|counts| counts.0[n]).filter(|counts| counts.iter().sum::<f64>() >= 2.0).collect();
        let enough = seen.len() >= super::CLIENTS_MIN;
        let mut standard_error = 0.0;
        if enough {
            let (mean, weight) = dirichlet(&seen, channel);
            // of the commonest outcome, clients taken as the units
            standard_error = (mean[0] * (1.0 - mean[0]) / seen.len() as f64).sqrt();
            (channel.mean, channel.weight) = (mean, weight);
        }
        learned.push(Learned { name: format!("{name} prior"), count: seen.len(), learned: enough, standard_error });
    }
}

/// Mean and weight of the largest Dirichlet-multinomial likelihood, by Minka's fixed point, begun at the shipped ones
/// and with half a client's worth of them kept, so that an outcome never seen keeps a chance.
fn dirichlet(seen: &[[f64; OUTCOMES]], shipped: &ChannelConstants) -> ([f64; OUTCOMES], f64) {
    let mut alpha = shipped.mean.map(|m| (m * shipped.weight).max(1e-3));
    for _ in 0..ROUNDS {
        let total: f64 = alpha.iter().sum();
        let below: f64 = seen.iter().map(|c| rise(c.iter().sum(), total)).sum();
        for (o, a) in alpha.iter_mut().enumerate() {
            let above: f64 = seen.iter().map(|c| rise(c[o], *a)).sum();
            *a = (*a * above / below.max(1e-12)).max(0.5 * shipped.mean[o] / seen.len() as f64);
        }
    }
    let total: f64 = alpha.iter().sum();
    (alpha.map(|a| a / total), total.clamp(WEIGHT[0], WEIGHT[1]))
}

/// ψ(n + a) − ψ(a) for a whole n.
fn rise(n: f64, a: f64) -> f64 {
    (0..n as u32).map(|i| 1.0 / (a + f64::from(i))).sum()
}
