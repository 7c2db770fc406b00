//! Operations in an order in which each comes after what it waits for.

use crate::error::{Error, Result};

/// Operations that end together: none is done before all have begun.
///
/// One operation that waits for nobody is a group by itself.
#[derive(Debug)]
pub struct Group {
    pub slots: Vec<u32>,
    /// Whether those of all replicas end together.
    pub joins_replicas: bool,
}

/// Groups, each after all that its operations wait for.
#[derive(Debug)]
pub struct Order {
    pub groups: Vec<Group>,
    /// First of [`Self::waits`] of each slot, and the number of all at the end.
    first: Vec<u32>,
    /// What slots wait for: other slots of the same replica.
    waits: Vec<u32>,
}

impl Order {
    /// Sorts groups of all slots topologically.
    ///
    /// # Parameters
    /// - `waits`: for each slot, the slots that must have ended before it begins
    ///
    /// # Errors
    /// [`Error::Domain`] for operations that wait for each other in a circle.
    pub fn new(groups: Vec<Group>, waits: &[Vec<u32>]) -> Result<Self> {
        let mut group_of = vec![0; waits.len()];
        for (number, group) in groups.iter().enumerate() {
            for &slot in &group.slots {
                group_of[slot as usize] = number;
            }
        }
        let mut open = vec![0_usize; groups.len()];
        let mut next = vec![vec![]; groups.len()];
        for (slot, befores) in waits.iter().enumerate() {
            for &before in befores {
                open[group_of[slot]] += 1;
                next[group_of[before as usize]].push(group_of[slot]);
            }
        }
        let mut sorted: Vec<usize> = (0..groups.len()).filter(|&one| open[one] == 0).collect();
        let mut done = 0;
        while done < sorted.len() {
            for &later in &next[sorted[done]] {
                open[later] -= 1;
                if open[later] == 0 {
                    sorted.push(later);
                }
            }
            done += 1;
        }
        if sorted.len() < groups.len() {
            let n_left = groups.len() - sorted.len();
            let field = "number of operations that wait for each other in a circle";
            return Err(Error::domain(field, n_left as f64, "0"));
        }
        let mut place = vec![0; groups.len()];
        for (at, &number) in sorted.iter().enumerate() {
            place[number] = at;
        }
        let mut placed: Vec<_> = groups
            .into_iter()
            .enumerate()
            .map(|(number, group)| (place[number], group))
            .collect();
        placed.sort_unstable_by_key(|&(at, _)| at);
        let mut first = vec![0];
        for befores in waits {
            first.push(first[first.len() - 1] + befores.len() as u32);
        }
        Ok(Self {
            groups: placed.into_iter().map(|(_, group)| group).collect(),
            first,
            waits: waits.concat(),
        })
    }

    /// What a slot waits for.
    pub fn waits(&self, slot: u32) -> &[u32] {
        let slot = slot as usize;
        &self.waits[self.first[slot] as usize..self.first[slot + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(slot: u32) -> Group {
        Group {
            slots: vec![slot],
            joins_replicas: false,
        }
    }

    #[test]
    fn each_group_comes_after_what_its_operations_wait_for() {
        let pair = Group {
            slots: vec![0, 3],
            joins_replicas: false,
        };
        let order = Order::new(
            vec![pair, alone(1), alone(2)],
            &[vec![1], vec![2], vec![], vec![]],
        );
        let order = order.unwrap();
        let slots: Vec<_> = order.groups.iter().map(|one| one.slots.clone()).collect();
        assert_eq!(slots, [vec![2], vec![1], vec![0, 3]]);
        assert_eq!(order.waits(0), [1]);
    }

    #[test]
    fn a_circle_is_refused() {
        let error = Order::new(vec![alone(0), alone(1)], &[vec![1], vec![0]]).unwrap_err();
        assert!(error.to_string().contains("in a circle must be 0, got 2"));
    }
}
