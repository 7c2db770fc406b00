//! One replica in one step, off which the order of operations is read.

use super::kind::Kind;
use super::layout::Layout;

/// What was recorded of a replica in a step. All lists are by slot.
pub struct Recorded<'a> {
    pub layout: &'a Layout,
    pub start_s: Vec<f64>,
    pub end_s: Vec<f64>,
    /// Model chunk of the stage.
    pub chunk: Vec<i32>,
    /// Model chunk of the model; that of the stage where the trace has none.
    pub virtual_stage: Vec<i32>,
    pub n_virtual_stages: i32,
}

impl Recorded<'_> {
    /// Slots of some types on a stage, in the order in which they began.
    pub fn by_start(&self, stage: usize, kinds: &[Kind]) -> Vec<usize> {
        let slots = kinds
            .iter()
            .flat_map(|&kind| self.layout.slots(stage, kind));
        let mut slots: Vec<usize> = slots.collect();
        slots.sort_by(|&one, &other| {
            let by_start = self.start_s[one].total_cmp(&self.start_s[other]);
            by_start.then(self.layout.number(one).cmp(&self.layout.number(other)))
        });
        slots
    }
}
