//! Latencies in buckets of at most 1.6 % width.

/// Buckets per power of two.
const FINE: u32 = 6;

/// How many values there were of each size.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; ((64 - FINE as usize) + 1) << FINE], count: 0, max: 0 }
    }
}

impl Histogram {
    fn bucket(value: u64) -> usize {
        let excess = (64 - value.leading_zeros()).saturating_sub(FINE + 1);
        let mantissa = value >> excess;
        ((u64::from(excess) << FINE) + mantissa) as usize
    }

    /// The largest value that falls into a bucket.
    fn top(bucket: usize) -> u64 {
        let excess = (bucket >> FINE).saturating_sub(1);
        let mantissa = bucket - (excess << FINE);
        ((mantissa as u64 + 1) << excess) - 1
    }

    /// Counts one value.
    pub(crate) fn record(&mut self, value: u64) {
        self.buckets[Self::bucket(value)] += 1;
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// Counts all values of another.
    pub(crate) fn add(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket += more;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// The value that this part (0 to 1) of all values does not exceed.
    pub(crate) fn quantile(&self, part: f64) -> u64 {
        let rank = ((self.count as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Self::top(bucket).min(self.max);
            }
        }
        self.max
    }

    /// Each size that there is, as the largest value of its bucket, and how many have it.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = (u64, u64)> {
        let buckets = self.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        buckets.map(|(bucket, count)| (Self::top(bucket).min(self.max), *count))
    }

    /// How many values there are.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// The largest value.
    pub(crate) const fn max(&self) -> u64 {
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::Histogram;

    #[test]
    fn quantiles_are_within_two_percent() {
        let mut histogram = Histogram::default();
        for value in 1..=1_000_000 {
            histogram.record(value);
        }
        for part in [0.001, 0.1, 0.5, 0.9, 0.99, 0.999] {
            let exact = 1_000_000.0 * part;
            let found = histogram.quantile(part) as f64;
            assert!((found - exact).abs() / exact < 0.02, "{part}: {found} for {exact}");
        }
        assert_eq!(histogram.quantile(1.0), 1_000_000);
    }

    #[test]
    fn every_value_has_a_bucket() {
        let mut histogram = Histogram::default();
        for value in [0, 1, 63, 64, 127, 128, u64::MAX] {
            histogram.record(value);
        }
        assert_eq!(histogram.quantile(0.01), 0);
        assert_eq!(histogram.max(), u64::MAX);
    }
}
