//! How many units have which persistent factor: counts, but no single factor.

/// Factors that are compared with the least kept one in one go: most of them are below
/// it.
const FACTORS_AT_ONCE: usize = 16;

/// A histogram of the greatest factors, with bins by the leading bits of their f32.
///
/// Counts and sums are integers, so the order of counting does not matter.
#[derive(Debug, Clone)]
pub struct Census {
    /// Trailing bits of a factor that its bin leaves out.
    shift: u32,
    /// Bins that are kept at most, from the one of the greatest factor down.
    window: usize,
    /// Ratio of the least factor that is kept to the greatest.
    depth: f32,
    /// Bin of the greatest factor.
    top: u32,
    /// From the top down.
    bins: Vec<Bin>,
}

/// Factors with the same leading bits.
#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    count: u64,
    /// Sum of the bits that were left out.
    sum_of_rest: u64,
}

impl Census {
    /// An empty census with bins at most `width` wide in ln, down to `reach` in ln below
    /// the greatest factor.
    pub fn new(width: f64, reach: f64) -> Self {
        // A bin that leaves out `shift` of 23 mantissa bits is at most 2^(shift - 23)
        // wide.
        let bits = libm::floor(libm::log2(width)) + 23.0;
        let shift = bits.clamp(0.0, 22.0) as u32;
        let narrowest = libm::ldexp(0.5, shift as i32 - 23);
        Self {
            shift,
            window: (reach / narrowest).min(libm::ldexp(1.0, 24)) as usize + 2,
            depth: libm::exp(-reach) as f32,
            top: 0,
            bins: Vec::new(),
        }
    }

    /// Counts one unit of each factor, all of them > 0.
    pub fn add(&mut self, factors: &[f32]) {
        let greatest = factors.iter().copied().fold(0.0, f32::max);
        self.raise(greatest.to_bits() >> self.shift);
        let rest = (1 << self.shift) - 1;
        let least = self.least();
        for few in factors.chunks(FACTORS_AT_ONCE) {
            // Bits of positive floats are ordered as the floats are.
            if few.iter().all(|factor| factor.to_bits() < least) {
                continue;
            }
            for bits in few.iter().map(|factor| factor.to_bits()) {
                if bits < least {
                    continue;
                }
                let below = (self.top - (bits >> self.shift)) as usize;
                if below >= self.bins.len() {
                    self.bins.resize(below + 1, Bin::default());
                }
                let bin = &mut self.bins[below];
                bin.count += 1;
                bin.sum_of_rest += u64::from(bits & rest);
            }
        }
    }

    /// The least factor that is kept beside those that have been counted.
    pub fn least_factor(&self) -> f32 {
        f32::from_bits(self.least())
    }

    /// Bits of the least factor that is kept.
    fn least(&self) -> u32 {
        let top = f32::from_bits(self.top << self.shift);
        let bin = ((top * self.depth).to_bits() >> self.shift).saturating_sub(1);
        bin.max(self.top.saturating_sub(self.window as u32 - 1)) << self.shift
    }

    /// Makes room for a greater factor.
    fn raise(&mut self, top: u32) {
        if self.bins.is_empty() {
            self.top = top;
        }
        if top > self.top {
            let up = ((top - self.top) as usize).min(self.window);
            self.bins
                .splice(0..0, std::iter::repeat_n(Bin::default(), up));
            self.bins.truncate(self.window);
            self.top = top;
        }
    }

    /// Adds the counts of another census with the same bins.
    pub fn merge(&mut self, other: &Self) {
        self.raise(other.top);
        let below = (self.top - other.top) as usize;
        let needed = (below + other.bins.len()).min(self.window);
        if self.bins.len() < needed {
            self.bins.resize(needed, Bin::default());
        }
        for (mine, theirs) in self.bins.iter_mut().skip(below).zip(&other.bins) {
            mine.count += theirs.count;
            mine.sum_of_rest += theirs.sum_of_rest;
        }
    }

    /// The mean factor of each bin and how many units it holds, from the greatest down.
    pub fn factors(&self) -> impl Iterator<Item = (f64, f64)> {
        let filled = self
            .bins
            .iter()
            .enumerate()
            .filter(|(_, bin)| bin.count > 0);
        filled.map(|(below, bin)| {
            let bits = (self.top - below as u32) << self.shift;
            let (low, next) = (f32::from_bits(bits), f32::from_bits(bits + 1));
            let unit = f64::from(next) - f64::from(low);
            let mean = f64::from(low) + unit * bin.sum_of_rest as f64 / bin.count as f64;
            (mean, bin.count as f64)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_census_keeps_counts_and_means_of_the_greatest() {
        let factors: Vec<f32> = (0..5000).map(|k| 1.0 + 0.1 * (k as f32 / 5000.0)).collect();
        let mut one = Census::new(1e-3, 0.05);
        one.add(&factors);
        let mut parts: Vec<Census> = Vec::new();
        for chunk in factors.chunks(77) {
            let mut part = Census::new(1e-3, 0.05);
            part.add(chunk);
            parts.push(part);
        }
        let mut merged = Census::new(1e-3, 0.05);
        for part in parts.iter().rev() {
            merged.merge(part);
        }
        let (one, merged): (Vec<_>, Vec<_>) = (one.factors().collect(), merged.factors().collect());
        let top = |counted: &[(f64, f64)]| -> Vec<(f64, f64)> {
            counted.iter().copied().filter(|(x, _)| *x > 1.06).collect()
        };
        assert_eq!(top(&one), top(&merged));
        let above: f64 = one
            .iter()
            .filter(|(x, _)| *x > 1.0615)
            .map(|(_, n)| n)
            .sum();
        let expected = factors.iter().filter(|x| **x > 1.0615).count() as f64;
        assert!((above - expected).abs() <= 50.0, "{above} {expected}");
        let sum: f64 = top(&one).iter().map(|(x, n)| x * n).sum();
        let n: f64 = top(&one).iter().map(|(_, n)| n).sum();
        let of_all: f64 = factors
            .iter()
            .rev()
            .take(n as usize)
            .map(|&x| f64::from(x))
            .sum();
        assert!((sum / of_all - 1.0).abs() < 1e-9);
    }

    #[test]
    fn equal_factors_are_one_exact_bin() {
        let mut census = Census::new(1e-4, 0.1);
        census.add(&[1.062; 51]);
        census.add(&[0.5]);
        let counted: Vec<_> = census.factors().collect();
        assert_eq!(counted, [(f64::from(1.062_f32), 51.0)]);
    }
}
