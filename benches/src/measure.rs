//! Rounds, medians, spreads.

/// A figure over several rounds.
#[derive(Clone, Debug)]
pub struct Measured {
    /// One figure a round.
    pub rounds: Vec<f64>,
}

impl Measured {
    /// The median round.
    #[must_use]
    pub fn median(&self) -> f64 {
        median(&self.rounds)
    }
}

/// The median; not a number where there is nothing.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 50.0)
}

/// A percentile, by the nearest rank; not a number where there is nothing.
#[must_use]
pub fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    if sorted.len().is_multiple_of(2) && (percent - 50.0).abs() < f64::EPSILON {
        let middle = sorted.len() / 2;
        if let (Some(low), Some(high)) = (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
            return f64::midpoint(*low, *high);
        }
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank"
    )]
    let rank = ((percent / 100.0) * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// How far apart the rounds lie: largest less smallest, in percent of the median.
#[must_use]
pub fn spread_percent(values: &[f64]) -> f64 {
    let (low, high) =
        values.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    100.0 * (high - low) / median(values)
}
