//! Slots that want a block, and blocks that are free.

use std::collections::VecDeque;

/// The slots and blocks of one pool, by their numbers in it.
#[derive(Debug, Clone)]
pub(super) struct Vacancies {
    /// Blocks that may be free and whole, the one longest free first.
    queue: VecDeque<u32>,
    is_queued: Vec<bool>,
    /// Slots that have lost a node since they were looked at.
    fresh: Vec<u32>,
    /// Slots for which nothing was found; they may have been filled since.
    vacant: Vec<u32>,
    is_vacant: Vec<bool>,
    /// Whether a node or a block has become free since they were looked at.
    has_new: bool,
}

impl Vacancies {
    pub fn new(n_slots: u32, n_blocks: u32) -> Self {
        Self {
            queue: VecDeque::new(),
            is_queued: vec![false; n_blocks as usize],
            fresh: Vec::new(),
            vacant: Vec::new(),
            is_vacant: vec![false; n_slots as usize],
            has_new: false,
        }
    }

    /// A block is free and whole.
    pub fn add_block(&mut self, block: u32) {
        if !std::mem::replace(&mut self.is_queued[block as usize], true) {
            self.queue.push_back(block);
        }
        self.has_new = true;
    }

    /// The block that has been in the queue for longest; it may be broken or at work by now.
    pub fn next_block(&mut self) -> Option<u32> {
        let block = self.queue.pop_front()?;
        self.is_queued[block as usize] = false;
        Some(block)
    }

    /// A node is free.
    pub fn add_node(&mut self) {
        self.has_new = true;
    }

    /// A slot has lost a node, or is to be looked at again.
    pub fn add_slot(&mut self, slot: u32) {
        self.fresh.push(slot);
    }

    /// Nothing was found for a slot.
    pub fn leave_vacant(&mut self, slot: u32) {
        if !std::mem::replace(&mut self.is_vacant[slot as usize], true) {
            self.vacant.push(slot);
        }
    }

    /// Slots that something may be found for.
    pub fn take_wanted(&mut self) -> Vec<u32> {
        let mut wanted = std::mem::take(&mut self.fresh);
        let has_new = std::mem::take(&mut self.has_new);
        if has_new || !(wanted.is_empty() || self.queue.is_empty()) {
            for slot in self.vacant.drain(..) {
                self.is_vacant[slot as usize] = false;
                wanted.push(slot);
            }
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vacant_slots_are_looked_at_again_when_something_is_free() {
        let mut vacancies = Vacancies::new(4, 4);
        vacancies.add_slot(2);
        assert_eq!(vacancies.take_wanted(), [2]);
        vacancies.leave_vacant(2);
        vacancies.leave_vacant(2);
        assert!(vacancies.take_wanted().is_empty());
        vacancies.add_block(3);
        vacancies.add_block(3);
        assert_eq!(vacancies.take_wanted(), [2]);
        assert_eq!(
            (vacancies.next_block(), vacancies.next_block()),
            (Some(3), None)
        );
    }
}
