//! The next failures of many units, soonest first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A failure of a unit: bits of seconds, which order as seconds do, the unit, and the number of its
/// next event.
type Entry = (u64, u32, u32);

/// The next failure of each unit, taken in the order of time.
///
/// A heap of all units reaches over so much memory that each failure waits for it several times.
/// So only failures up to a horizon are in order; the others lie in none until the horizon moves on.
/// Those that it reaches are sorted once, which takes less than to take each of them from a heap.
#[derive(Debug, Clone)]
pub(super) struct Agenda {
    /// Failures that the horizon has reached, the first one last.
    due: Vec<Entry>,
    /// Failures before the horizon that were added since: few, of units that fail again soon.
    added: BinaryHeap<Reverse<Entry>>,
    later: Vec<Entry>,
    /// Entries in order are below it, all others are not.
    horizon_s: f64,
    /// How far the horizon moves.
    stride_s: f64,
}

impl Agenda {
    /// Failures of units; the horizon moves by a stride, best the time in which few of them fail.
    pub fn new(entries: Vec<Entry>, stride_s: f64) -> Self {
        let mut agenda = Self {
            due: Vec::new(),
            added: BinaryHeap::new(),
            later: entries,
            horizon_s: 0.0,
            stride_s,
        };
        agenda.refill();
        agenda
    }

    /// When the first one comes; infinite if there is none.
    pub fn first_s(&self) -> f64 {
        let first = match (self.due.last(), self.added.peek()) {
            (Some(due), Some(Reverse(added))) => due.0.min(added.0),
            (Some(due), None) => due.0,
            (None, Some(Reverse(added))) => added.0,
            (None, None) => return f64::INFINITY,
        };
        f64::from_bits(first)
    }

    /// Takes the first one: its unit, and the number of the unit's next event.
    pub fn take(&mut self) -> Option<(u32, u32)> {
        let is_added = match (self.due.last(), self.added.peek()) {
            (Some(due), Some(Reverse(added))) => added < due,
            (due, _) => due.is_none(),
        };
        let (_, unit, number) = if is_added {
            self.added.pop()?.0
        } else {
            self.due.pop()?
        };
        if self.is_used_up() {
            self.refill();
        }
        Some((unit, number))
    }

    /// Adds the failure of a unit, which may come before all others.
    pub fn add(&mut self, at_s: f64, unit: u32, number: u32) {
        let entry = (at_s.to_bits(), unit, number);
        if at_s < self.horizon_s {
            self.added.push(Reverse(entry));
            return;
        }
        self.later.push(entry);
        if self.is_used_up() {
            self.refill();
        }
    }

    /// The units that come first, as far as they are in order: up to `most` of them.
    pub fn upcoming(&self, most: usize) -> impl Iterator<Item = u32> {
        self.due.iter().rev().take(most).map(|entry| entry.1)
    }

    fn is_used_up(&self) -> bool {
        self.due.is_empty() && self.added.is_empty()
    }

    /// Moves the horizon beyond the first of the failures that lie behind it.
    fn refill(&mut self) {
        let Some(first) = self.later.iter().map(|entry| entry.0).min() else {
            return;
        };
        let first_s = f64::from_bits(first);
        // A stride that rounding swallows still lets the first one through.
        self.horizon_s = (first_s + self.stride_s).max(first_s.next_up());
        // Bits order as seconds do.
        let horizon = self.horizon_s.to_bits();
        let due = &mut self.due;
        self.later.retain(|&entry| {
            let waits = entry.0 >= horizon;
            if !waits {
                due.push(entry);
            }
            waits
        });
        due.sort_unstable_by(|a, b| b.cmp(a));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, Stream, Use};

    /// Takes failures and adds a later one of the same unit to each, and compares with a heap.
    fn compare(stride_s: f64, n_units: u32) {
        let random = Random::new(7);
        let stream = Stream::new("pool", "agenda", Use::Event);
        let gap_s = |unit, number| f64::from(random.words(stream, unit, number, 0)[0] >> 20);
        let first: Vec<Entry> = (0..n_units)
            .map(|unit| (gap_s(unit, 0).to_bits(), unit, 0))
            .collect();
        let mut heap: BinaryHeap<Reverse<Entry>> = first.iter().copied().map(Reverse).collect();
        let mut agenda = Agenda::new(first, stride_s);
        for _ in 0..5_000 {
            let Reverse((bits, unit, number)) = heap.pop().unwrap();
            assert_eq!(agenda.first_s(), f64::from_bits(bits));
            assert_eq!(agenda.take(), Some((unit, number)));
            // Some of them fail no more.
            if number < 40 {
                let next_s = f64::from_bits(bits) + gap_s(unit, number + 1);
                heap.push(Reverse((next_s.to_bits(), unit, number + 1)));
                agenda.add(next_s, unit, number + 1);
            }
            if heap.is_empty() {
                break;
            }
        }
        assert_eq!(heap.is_empty(), agenda.first_s() == f64::INFINITY);
    }

    #[test]
    fn failures_come_in_the_order_of_a_heap() {
        for stride_s in [0.0, 1e-300, 3.0, 500.0, 1e9] {
            compare(stride_s, 1);
            compare(stride_s, 300);
        }
    }

    #[test]
    fn an_empty_agenda_takes_what_is_added() {
        let mut agenda = Agenda::new(Vec::new(), 1.0);
        assert_eq!((agenda.take(), agenda.first_s()), (None, f64::INFINITY));
        agenda.add(5.0, 3, 1);
        agenda.add(4.0, 2, 1);
        assert_eq!(agenda.first_s(), 4.0);
        assert_eq!(
            [agenda.take(), agenda.take(), agenda.take()],
            [Some((2, 1)), Some((3, 1)), None]
        );
    }

    #[test]
    fn units_that_come_first_are_known_ahead() {
        let entries = (0..9_u32).map(|unit| (f64::from(unit * 7 % 9).to_bits(), unit, 0));
        let mut agenda = Agenda::new(entries.collect(), 5.0);
        let ahead: Vec<u32> = agenda.upcoming(4).collect();
        let taken: Vec<u32> = (0..4)
            .filter_map(|_| agenda.take())
            .map(|(unit, _)| unit)
            .collect();
        assert_eq!(ahead, taken);
        // One more is in order, and no other.
        assert_eq!(agenda.upcoming(4).count(), 1);
    }
}
