//! In which order tensor groups are numbered.

use std::ops::Range;

use crate::error::{Error, Result};

/// A dimension of a job in which tensor groups are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// Tensor groups that divide each sequence among them.
    Context,
    /// Replicas.
    Data,
    /// Stages of a replica.
    Stage,
}

/// The order in which tensor groups are numbered: dimensions, the innermost first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RankOrder([Dimension; 3]);

impl RankOrder {
    /// Stages of a replica follow each other, and replicas do.
    pub const BY_REPLICA: Self = Self([Dimension::Context, Dimension::Stage, Dimension::Data]);
    /// Replicas follow each other in a stage, and stages do.
    pub const BY_STAGE: Self = Self([Dimension::Context, Dimension::Data, Dimension::Stage]);

    /// The order of these dimensions, the innermost first.
    ///
    /// # Errors
    /// [`Error::Domain`] unless each dimension is there.
    pub fn new(dimensions: [Dimension; 3]) -> Result<Self> {
        let all = [Dimension::Context, Dimension::Data, Dimension::Stage];
        if all.iter().all(|dimension| dimensions.contains(dimension)) {
            return Ok(Self(dimensions));
        }
        let requirement = "context, data and stage, each once";
        Err(Error::domain("order", 0.0, requirement))
    }

    /// The numbering of tensor groups with so many indices in each dimension.
    #[must_use]
    pub fn numbering(self, context: u32, data: u32, stages: u32) -> Numbering {
        let size = |dimension| match dimension {
            Dimension::Context => context.max(1),
            Dimension::Data => data.max(1),
            Dimension::Stage => stages.max(1),
        };
        let axis = |wanted: Dimension| {
            let inside = self.0.iter().take_while(|&&dimension| dimension != wanted);
            let sizes = inside.map(|&dimension| size(dimension));
            Axis {
                size: size(wanted),
                stride: sizes.fold(1, u32::saturating_mul),
            }
        };
        Numbering {
            context: axis(Dimension::Context),
            data: axis(Dimension::Data),
            stage: axis(Dimension::Stage),
        }
    }
}

/// One dimension of a numbering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// How many indices there are, >= 1.
    pub size: u32,
    /// By how much the number of a tensor group grows with its index.
    pub stride: u32,
}

impl Axis {
    /// The index of a tensor group.
    #[must_use]
    pub fn index(self, tensor_group: u32) -> u32 {
        tensor_group / self.stride % self.size
    }
}

/// Numbers of tensor groups: the sum of each index times its stride.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbering {
    /// Tensor groups that divide each sequence.
    pub context: Axis,
    /// Replicas.
    pub data: Axis,
    /// Stages.
    pub stage: Axis,
}

impl Numbering {
    /// Whether the tensor groups of each replica follow each other.
    #[must_use]
    pub fn has_whole_replicas(&self) -> bool {
        let replica = self.context.size.saturating_mul(self.stage.size);
        self.data.size == 1 || self.data.stride == replica
    }

    /// The least distance between tensor groups of one replica that are of different stages; none
    /// with a single stage.
    #[must_use]
    pub fn distance_between_stages(&self) -> Option<u32> {
        let context_inside = self.context.stride < self.stage.stride;
        let within = if context_inside {
            (self.context.size - 1) * self.context.stride
        } else {
            0
        };
        (self.stage.size > 1).then(|| self.stage.stride - within)
    }

    /// How many of some consecutive tensor groups each stage has.
    #[must_use]
    pub fn of_stages(&self, groups: Range<u32>) -> Vec<u32> {
        let Axis { size, stride } = self.stage;
        let mut counts = vec![0; size as usize];
        let mut group = groups.start;
        while group < groups.end {
            let end = ((group / stride + 1) * stride).min(groups.end);
            counts[self.stage.index(group) as usize] += end - group;
            group = end;
        }
        counts
    }

    /// Runs of consecutive tensor groups, of all replicas from one on up to another: each with its
    /// first tensor group and their number.
    pub fn runs_of(&self, first: u32, end: u32) -> impl Iterator<Item = (u32, u32)> {
        let Axis { size, stride } = self.data;
        let all = self.context.size * self.stage.size;
        let outer = all / stride.min(all);
        let n = end.saturating_sub(first) * stride;
        (0..outer).map(move |outer| ((outer * size + first) * stride, n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Dimension; 3] = [Dimension::Context, Dimension::Data, Dimension::Stage];

    fn orders() -> Vec<RankOrder> {
        let mut orders = Vec::new();
        for a in ALL {
            for b in ALL {
                for c in ALL {
                    orders.extend(RankOrder::new([a, b, c]));
                }
            }
        }
        orders
    }

    #[test]
    fn each_dimension_stands_once() {
        assert_eq!(orders().len(), 6);
        let twice = RankOrder::new([Dimension::Data, Dimension::Data, Dimension::Stage]);
        assert!(twice.is_err());
    }

    #[test]
    fn indices_and_runs_are_those_of_counting() {
        for order in orders() {
            for (context, data, stages) in [(1, 1, 1), (2, 3, 4), (1, 5, 3), (3, 1, 2), (4, 4, 1)] {
                let numbering = order.numbering(context, data, stages);
                let mut number = 0;
                let of = |dimension: Dimension, [a, b, c]: [u32; 3]| {
                    let place = order.0.iter().position(|&other| other == dimension);
                    [a, b, c][place.unwrap()]
                };
                let size = |dimension: Dimension| match dimension {
                    Dimension::Context => context,
                    Dimension::Data => data,
                    Dimension::Stage => stages,
                };
                let mut replicas = Vec::new();
                let mut least = None;
                for c in 0..size(order.0[2]) {
                    for b in 0..size(order.0[1]) {
                        for a in 0..size(order.0[0]) {
                            let indices = [a, b, c];
                            let replica = of(Dimension::Data, indices);
                            let stage = of(Dimension::Stage, indices);
                            assert_eq!(numbering.data.index(number), replica);
                            assert_eq!(numbering.stage.index(number), stage);
                            let context = of(Dimension::Context, indices);
                            assert_eq!(numbering.context.index(number), context);
                            for (other, &(known, its)) in (0..).zip(&replicas) {
                                if known == replica && its != stage {
                                    let distance = number - other;
                                    least = Some(least.unwrap_or(distance).min(distance));
                                }
                            }
                            replicas.push((replica, stage));
                            number += 1;
                        }
                    }
                }
                assert_eq!(numbering.distance_between_stages(), least, "{order:?}");
                let whole = replicas.windows(2).filter(|pair| pair[0].0 != pair[1].0);
                let is_whole = whole.count() as u32 == data - 1;
                assert_eq!(numbering.has_whole_replicas(), is_whole, "{order:?}");
                let counted = |range: Range<u32>| {
                    let of = |stage| {
                        replicas[range.start as usize..range.end as usize]
                            .iter()
                            .filter(|of| of.1 == stage)
                            .count() as u32
                    };
                    (0..stages).map(of).collect::<Vec<u32>>()
                };
                for range in [0..number, number / 3..number, 0..number / 2] {
                    assert_eq!(numbering.of_stages(range.clone()), counted(range));
                }
                for (first, end) in [(0, data), (data / 2, data), (0, data.min(1))] {
                    let found: Vec<u32> = numbering
                        .runs_of(first, end)
                        .flat_map(|(start, n)| start..start + n)
                        .collect();
                    let expected: Vec<u32> = (0..number)
                        .filter(|&group| (first..end).contains(&replicas[group as usize].0))
                        .collect();
                    assert_eq!(found, expected, "{order:?} {first} {end}");
                }
            }
        }
    }
}
