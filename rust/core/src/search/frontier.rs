//! The times that no other exceeds in both of their parts.

use super::best::Best;

/// A slowdown, or seconds of compute, and a stall.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrontierPoint<T> {
    /// Slowdown, or seconds that are computed without stalls.
    pub compute: T,
    /// Stall.
    pub stall: T,
    /// Both together, as they are rounded where the slowest is looked for.
    pub total: T,
    /// The first rank that has both.
    pub rank: u32,
}

/// The ranks or gangs of a pool of which no other computes at least as long and is stalled at
/// least as long; of those that are alike, the first.
///
/// Whatever of a step's length grows with both, is longest with one of these.
#[derive(Debug, Clone, PartialEq)]
pub struct Frontier<T> {
    /// From the longest compute and the shortest stall on.
    points: Vec<FrontierPoint<T>>,
}

impl<T> Frontier<T> {
    /// The frontier before anything is visited.
    pub const NOBODY: Self = Self { points: Vec::new() };

    /// Leaves out all points, and keeps their memory.
    pub fn clear(&mut self) {
        self.points.clear();
    }
}

impl<T: Copy + PartialOrd> Frontier<T> {
    /// The points, from the longest compute and the shortest stall on.
    #[must_use]
    pub fn points(&self) -> &[FrontierPoint<T>] {
        &self.points
    }

    /// Whether no point has this compute and stall or more of both.
    ///
    /// Monotone in both, like [`Best::yields_to`].
    #[inline(always)]
    fn lacks(&self, compute: T, stall: T, rank: u32) -> bool {
        !self.points.iter().any(|known| {
            known.compute >= compute
                && known.stall >= stall
                && (known.compute > compute || known.stall > stall || known.rank <= rank)
        })
    }

    /// Takes in a point that the frontier lacks, and leaves out those that it exceeds.
    fn insert(&mut self, point: FrontierPoint<T>) {
        let place = self
            .points
            .partition_point(|known| known.compute > point.compute);
        let exceeded = self.points[place..]
            .iter()
            .take_while(|known| known.stall <= point.stall)
            .count();
        if exceeded == 0 {
            self.points.insert(place, point);
        } else {
            self.points[place] = point;
            self.points.drain(place + 1..place + exceeded);
        }
    }

    /// Takes in a point unless there is one with as much of both or more.
    pub fn offer(&mut self, point: FrontierPoint<T>) {
        if self.lacks(point.compute, point.stall, point.rank) {
            self.insert(point);
        }
    }
}

impl Best for Frontier<f32> {
    #[inline(always)]
    fn yields_to(&self, slowdown: f32, stall: f32, rank: u32) -> bool {
        self.lacks(slowdown, stall, rank)
    }

    #[inline]
    fn take(&mut self, slowdown: f32, stall: f32, rank: u32) {
        self.insert(FrontierPoint {
            compute: slowdown,
            stall,
            total: slowdown + stall,
            rank,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Few values of both, so that many points are alike in one or in both.
    fn points(n: u32) -> Vec<FrontierPoint<f32>> {
        let of = |rank: u32| {
            let (compute, stall) = ((rank * 37 % 23) as f32, (rank * rank % 11) as f32);
            FrontierPoint {
                compute,
                stall,
                total: compute + stall,
                rank,
            }
        };
        (0..n).map(of).collect()
    }

    /// By comparing each point with all others.
    fn of_all(points: &[FrontierPoint<f32>]) -> Vec<FrontierPoint<f32>> {
        let is_exceeded = |point: &FrontierPoint<f32>| {
            points.iter().any(|other| {
                let is_alike = other.compute == point.compute && other.stall == point.stall;
                other.compute >= point.compute
                    && other.stall >= point.stall
                    && (!is_alike || other.rank < point.rank)
            })
        };
        let mut kept: Vec<FrontierPoint<f32>> = points
            .iter()
            .filter(|point| !is_exceeded(point))
            .copied()
            .collect();
        kept.sort_by(|a, b| b.compute.total_cmp(&a.compute));
        kept
    }

    #[test]
    fn a_frontier_is_what_all_pairs_say_in_any_order() {
        for n in 1..200 {
            let mut points = points(n);
            let expected = of_all(&points);
            for turn in 0..3 {
                let mut frontier = Frontier::NOBODY;
                for point in &points {
                    frontier.offer(*point);
                }
                assert_eq!(frontier.points(), expected, "{n} {turn}");
                points.reverse();
                points.rotate_left(n as usize / 3);
            }
        }
    }

    #[test]
    fn what_a_frontier_yields_to_grows_with_both() {
        let mut frontier = Frontier::NOBODY;
        for point in points(40) {
            frontier.offer(point);
        }
        for point in points(200) {
            let FrontierPoint {
                compute,
                stall,
                rank,
                ..
            } = point;
            if frontier.yields_to(compute, stall, rank) {
                assert!(frontier.yields_to(compute + 1.0, stall, rank));
                assert!(frontier.yields_to(compute, stall + 1.0, rank));
                assert!(rank == 0 || frontier.yields_to(compute, stall, rank - 1));
            }
        }
    }
}
