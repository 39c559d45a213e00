//! What an operator watches. No label ever holds anything about a person.

use crate::store::Figures;
use jiff::SignedDuration;
use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use std::time::Duration;

/// Upper bounds, seconds.
const REQUEST_BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const LAG_BUCKETS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    refused: IntCounterVec,
    seconds: HistogramVec,
    written: IntGauge,
    pending: IntGauge,
    lag: Histogram,
    assessed: IntCounter,
    stood: IntCounter,
    findings: IntCounter,
    failed: IntCounter,
    writers: IntGauge,
    bodies: IntGauge,
    shed: IntGauge,
    connections: IntGaugeVec,
}

impl Metrics {
    /// # Errors
    /// Only where two metrics share a name, which a test rules out.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let buckets = |name, help, bounds: &[f64]| HistogramOpts::new(name, help).buckets(bounds.to_vec());
        let ours = Self {
            requests: kept(
                &registry,
                IntCounterVec::new(
                    Opts::new("tautline_requests_total", "FHIR requests by method and status"),
                    &["method", "status"],
                ),
            )?,
            refused: kept(
                &registry,
                IntCounterVec::new(
                    Opts::new("tautline_refusals_total", "FHIR requests refused, by issue type"),
                    &["reason"],
                ),
            )?,
            seconds: kept(
                &registry,
                HistogramVec::new(
                    buckets("tautline_request_seconds", "Time to answer a FHIR request", REQUEST_BUCKETS),
                    &["method"],
                ),
            )?,
            written: kept(
                &registry,
                IntGauge::new("tautline_resources_written_total", "Versions that requests wrote, the trail included"),
            )?,
            pending: kept(&registry, IntGauge::new("tautline_jobs_pending", "Clients waiting to be assessed"))?,
            lag: kept(
                &registry,
                Histogram::with_opts(buckets(
                    "tautline_findings_lag_seconds",
                    "From the moment that a client is due to durable findings",
                    LAG_BUCKETS,
                )),
            )?,
            assessed: kept(
                &registry,
                IntCounter::new("tautline_assessments_total", "Clients looked at because they were due"),
            )?,
            stood: kept(
                &registry,
                IntCounter::new("tautline_assessments_stood_total", "Of these, whose findings stood: passed over"),
            )?,
            findings: kept(
                &registry,
                IntCounter::new("tautline_findings_written_total", "Findings written (new, changed or withdrawn)"),
            )?,
            failed: kept(
                &registry,
                IntCounter::new("tautline_assessments_failed_total", "Assessments that failed and will be tried again"),
            )?,
            writers: kept(&registry, IntGauge::new("tautline_writers", "Requests that write or wait for it"))?,
            bodies: kept(&registry, IntGauge::new("tautline_bodies_bytes", "Bytes of bodies in flight, decompressed"))?,
            shed: kept(
                &registry,
                IntGauge::new("tautline_writes_shed_total", "Writes refused because too many waited"),
            )?,
            connections: kept(
                &registry,
                IntGaugeVec::new(
                    Opts::new("tautline_database_connections", "Database connections by state; on SQLite, readers"),
                    &["state"],
                ),
            )?,
            registry,
        };
        Ok(ours)
    }

    pub fn request(&self, method: &str, status: u16, took: Duration) {
        self.requests.with_label_values(&[method, &status.to_string()]).inc();
        self.seconds.with_label_values(&[method]).observe(took.as_secs_f64());
    }

    /// By the code of its first issue.
    pub fn refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    pub fn jobs_pending(&self, count: u64) {
        self.pending.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub fn assessed(&self, findings: usize, lag: SignedDuration) {
        self.assessed.inc();
        self.findings.inc_by(findings as u64);
        self.lag.observe(lag.as_secs_f64().max(0.0));
    }

    pub fn stood(&self, clients: usize) {
        self.stood.inc_by(clients as u64);
    }

    pub fn assessment_failed(&self) {
        self.failed.inc();
    }

    pub fn store(&self, figures: Figures) {
        let set = |gauge: &IntGauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        set(&self.writers, figures.writers);
        set(&self.shed, figures.shed);
        set(&self.written, figures.written);
        let states = [
            ("busy", figures.connections.saturating_sub(figures.connections_idle)),
            ("idle", figures.connections_idle),
            ("max", figures.connections_max),
        ];
        states.iter().for_each(|(state, count)| self.connections.with_label_values(&[state]).set(i64::from(*count)));
    }

    /// Bytes of bodies in flight.
    pub fn bodies(&self, bytes: usize) {
        self.bodies.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Prometheus text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = Vec::new();
        if TextEncoder::new().encode(&self.registry.gather(), &mut out).is_err() {
            tracing::error!("metrics could not be written");
        }
        String::from_utf8(out).unwrap_or_default()
    }
}

fn kept<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> prometheus::Result<C> {
    let made = made?;
    registry.register(Box::new(made.clone()))?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_outsiders_rely_on_are_there() {
        let metrics = Metrics::new().expect("registers");
        metrics.jobs_pending(3);
        assert!(metrics.text().contains("tautline_jobs_pending 3"));
    }
}
