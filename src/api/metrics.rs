//! What an operator watches. No label ever holds anything about a person.

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};
use std::time::Duration;

#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    pending: IntGauge,
    assessed: IntCounter,
    findings: IntCounter,
    failed: IntCounter,
}

impl Metrics {
    /// # Errors
    /// Only where two metrics share a name, which a test rules out.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("tautline_requests_total", "FHIR requests by method and status"),
            &["method", "status"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new("tautline_request_seconds", "Time to answer a FHIR request")
                .buckets(vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]),
            &["method"],
        )?;
        let pending = IntGauge::new("tautline_jobs_pending", "Clients waiting to be assessed")?;
        let assessed = IntCounter::new("tautline_assessments_total", "Clients assessed")?;
        let findings =
            IntCounter::new("tautline_findings_written_total", "Findings written (new, changed or withdrawn)")?;
        let failed =
            IntCounter::new("tautline_assessments_failed_total", "Assessments that failed and will be tried again")?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(pending.clone()))?;
        registry.register(Box::new(assessed.clone()))?;
        registry.register(Box::new(findings.clone()))?;
        registry.register(Box::new(failed.clone()))?;
        Ok(Self { registry, requests, seconds, pending, assessed, findings, failed })
    }

    pub fn request(&self, method: &str, status: u16, took: Duration) {
        self.requests.with_label_values(&[method, &status.to_string()]).inc();
        self.seconds.with_label_values(&[method]).observe(took.as_secs_f64());
    }

    pub fn jobs_pending(&self, count: u64) {
        self.pending.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub fn assessed(&self, findings: usize) {
        self.assessed.inc();
        self.findings.inc_by(findings as u64);
    }

    pub fn assessment_failed(&self) {
        self.failed.inc();
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
