//! Seeded chance that gives the same bytes on every machine and in every release.
//!
//! Written out here, rather than taken from a crate, because a promise of identical bytes must not hang on
//! someone else's version number; and `exp` and `ln` as well, because the standard library hands them to the
//! platform's mathematics library, whose last digit differs. Only + − × ÷ √ are used, which IEEE 754 fixes.

use std::f64::consts::{LN_2, SQRT_2};

/// xoshiro256++ (Blackman & Vigna 2019), seeded by SplitMix64.
pub struct Chance {
    state: [u64; 4],
}

impl Chance {
    /// An independent sequence for each (seed, stream).
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut mixer = seed ^ mix(stream.wrapping_add(0x5851_f42d_4c95_7f2d));
        let mut state = [0; 4];
        for word in &mut state {
            mixer = mixer.wrapping_add(0x9e37_79b9_7f4a_7c15);
            *word = mix(mixer);
        }
        Chance { state }
    }

    fn bits(&mut self) -> u64 {
        let s = &mut self.state;
        let out = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        out
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with probability `p`. Always takes one number from the sequence, so that a changed parameter
    /// does not shift everything after it.
    pub fn happens(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// A whole number in `low..=high`.
    pub fn whole(&mut self, low: i64, high: i64) -> i64 {
        low + (self.unit() * (high - low + 1) as f64) as i64
    }

    /// Standard normal times `sd` around `mean` (Marsaglia's polar method).
    pub fn normal(&mut self, mean: f64, sd: f64) -> f64 {
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let r = x * x + y * y;
            if r > 0.0 && r < 1.0 {
                return mean + sd * x * (-2.0 * ln(r) / r).sqrt();
            }
        }
    }

    /// Normal, pressed into a range.
    pub fn within(&mut self, mean: f64, sd: f64, low: f64, high: f64) -> f64 {
        self.normal(mean, sd).clamp(low, high)
    }

    /// Log-normal by its median and the standard deviation of its logarithm.
    pub fn log_normal(&mut self, median: f64, sd_ln: f64) -> f64 {
        median * exp(self.normal(0.0, sd_ln))
    }

    /// Exponential waiting time.
    pub fn waiting(&mut self, mean: f64) -> f64 {
        -mean * ln(1.0 - self.unit())
    }

    /// Index drawn in proportion to `weights`.
    pub fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len() - 1
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.whole(0, from.len() as i64 - 1) as usize]
    }
}

fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

pub fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// e to the power of `x`: halved into ±ln2/2, a Taylor series, and a shift of the exponent.
pub fn exp(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    let halvings = (x / LN_2).round();
    let rest = x - halvings * LN_2;
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..=18 {
        term = term * rest / f64::from(n);
        sum += term;
    }
    sum * f64::from_bits(((1023 + halvings as i64) as u64) << 52)
}

/// Natural logarithm of a positive normal number: exponent apart, and 2·artanh of the rest.
pub fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if mantissa > SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let (mut term, mut sum) = (ratio, 0.0);
    for n in 0..14 {
        sum += term / f64::from(2 * n + 1);
        term *= square;
    }
    2.0 * sum + exponent as f64 * LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_and_ln_agree_with_the_platform() {
        for n in -400..400 {
            let x = f64::from(n) / 7.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-13, "exp {x}");
            let y = x.exp();
            assert!((ln(y) - x).abs() < 1e-12 * (1.0 + x.abs()), "ln {y}");
        }
    }

    #[test]
    fn a_sequence_never_changes() {
        let mut chance = Chance::new(7, 3);
        let drawn: Vec<i64> = (0..6).map(|_| chance.whole(0, 999)).collect();
        assert_eq!(drawn, PINNED);
    }

    /// Taken once; a change here breaks the promise that a seed names a caseload for good.
    const PINNED: [i64; 6] = [230, 241, 727, 476, 39, 344];

    #[test]
    fn draws_have_the_moments_they_claim() {
        let mut chance = Chance::new(1, 1);
        let n = 20_000;
        let drawn: Vec<f64> = (0..n).map(|_| chance.normal(3.0, 2.0)).collect();
        let mean = drawn.iter().sum::<f64>() / f64::from(n);
        let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!((mean - 3.0).abs() < 0.06, "{mean}");
        assert!((variance.sqrt() - 2.0).abs() < 0.05, "{variance}");
    }
}
