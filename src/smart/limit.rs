//! How often one may ask: a bucket for each name, refilled steadily. Bounded in memory whatever names come.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Names that are remembered at once.
const NAMES_MAX: usize = 20_000;

pub struct Limiter {
    per_second: f64,
    burst: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Limiter {
    #[must_use]
    pub fn new(per_second: f64, burst: f64) -> Self {
        Self { per_second, burst, buckets: Mutex::default() }
    }

    /// Takes one; `Err`: the wait until there is one.
    ///
    /// # Errors
    /// The bucket is empty.
    pub fn take(&self, name: &str) -> Result<(), Duration> {
        self.take_at(name, Instant::now())
    }

    fn take_at(&self, name: &str, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let refilled = |bucket: &Bucket| {
            (bucket.left + now.saturating_duration_since(bucket.at).as_secs_f64() * self.per_second).min(self.burst)
        };
        if buckets.len() >= NAMES_MAX && !buckets.contains_key(name) {
            // Whoever is full again need not be remembered; when all press at once, all start anew.
            buckets.retain(|_, bucket| refilled(bucket) < self.burst);
            if buckets.len() >= NAMES_MAX {
                buckets.clear();
            }
        }
        let name: String = name.chars().take(200).collect();
        let bucket = buckets.entry(name).or_insert(Bucket { left: self.burst, at: now });
        let left = refilled(bucket);
        *bucket = Bucket { left: (left - 1.0).max(left.min(0.0)), at: now };
        if left >= 1.0 {
            return Ok(());
        }
        bucket.left = left;
        Err(Duration::from_secs_f64(((1.0 - left) / self.per_second).clamp(0.001, 3600.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills() {
        let limiter = Limiter::new(2.0, 3.0);
        let now = Instant::now();
        for _ in 0..3 {
            assert!(limiter.take_at("a", now).is_ok());
        }
        let wait = limiter.take_at("a", now).expect_err("empty");
        assert!(wait <= Duration::from_millis(500), "{wait:?}");
        assert!(limiter.take_at("b", now).is_ok(), "others are not held up");
        assert!(limiter.take_at("a", now + Duration::from_millis(600)).is_ok());
    }

    #[test]
    fn many_names_cost_bounded_memory() {
        let limiter = Limiter::new(0.001, 2.0);
        for n in 0..NAMES_MAX * 2 + 10 {
            let _ = limiter.take(&n.to_string());
        }
        assert!(limiter.buckets.lock().expect("a lock").len() <= NAMES_MAX);
    }
}
