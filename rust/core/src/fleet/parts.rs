//! Which parts of the job are whole, and which ones work in it.

/// One part of the job.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// Its slots whose block is not whole.
    vacant: u32,
    /// How often it has ceased to be whole.
    n_breaks: u32,
    /// Whether the job holds it.
    is_on: bool,
    /// Whether the job is to go on without it, and only stands until then.
    leaves: bool,
}

/// The parts of the job in one run.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    parts: Vec<Part>,
    n_on: u32,
    n_vacant: u32,
    /// Those that may have become vacant while they worked, and whole while they did not.
    doomed: Vec<u32>,
    ready: Vec<u32>,
    leaving: Vec<u32>,
}

impl Parts {
    /// All parts whole and at work.
    pub fn new(n: u32) -> Self {
        let part = Part {
            vacant: 0,
            n_breaks: 0,
            is_on: true,
            leaves: false,
        };
        Self {
            parts: vec![part; n as usize],
            n_on: n,
            n_vacant: 0,
            doomed: Vec::new(),
            ready: Vec::new(),
            leaving: Vec::new(),
        }
    }

    /// Parts that work in the job.
    pub fn n_on(&self) -> u32 {
        self.n_on
    }

    /// Whether all parts work in the job.
    pub fn all_are_on(&self) -> bool {
        self.n_on as usize == self.parts.len()
    }

    /// Whether all parts are whole.
    pub fn all_are_whole(&self) -> bool {
        self.n_vacant == 0
    }

    /// Whether any part is whole.
    pub fn any_is_whole(&self) -> bool {
        (self.n_vacant as usize) < self.parts.len()
    }

    /// Whether the job holds a part.
    pub fn is_on(&self, part: u32) -> bool {
        self.parts[part as usize].is_on
    }

    /// Whether a part works in the job, and is not to leave it.
    pub fn works(&self, part: u32) -> bool {
        let state = self.parts[part as usize];
        state.is_on && !state.leaves
    }

    /// The job is to go on without a part that works.
    pub fn leave(&mut self, part: u32) {
        self.parts[part as usize].leaves = true;
        self.leaving.push(part);
        self.n_on -= 1;
    }

    /// Parts that were to leave, which count as working until they do not.
    pub fn take_leaving(&mut self) -> Vec<u32> {
        let leaving = std::mem::take(&mut self.leaving);
        for &part in &leaving {
            self.parts[part as usize].leaves = false;
            self.n_on += 1;
        }
        leaving
    }

    /// Vacant slots of a part.
    pub fn vacant(&self, part: u32) -> u32 {
        self.parts[part as usize].vacant
    }

    /// How often a part has ceased to be whole.
    pub fn n_breaks(&self, part: u32) -> u32 {
        self.parts[part as usize].n_breaks
    }

    /// A slot of a part has lost its block.
    pub fn lose(&mut self, part: u32) {
        let state = &mut self.parts[part as usize];
        state.vacant += 1;
        if state.vacant > 1 {
            return;
        }
        state.n_breaks = state.n_breaks.wrapping_add(1);
        self.n_vacant += 1;
        if state.is_on {
            self.doomed.push(part);
        }
    }

    /// A slot of a part has a whole block again.
    pub fn regain(&mut self, part: u32) {
        let state = &mut self.parts[part as usize];
        state.vacant -= 1;
        if state.vacant > 0 {
            return;
        }
        self.n_vacant -= 1;
        if !state.is_on {
            self.ready.push(part);
        }
    }

    /// Lets a part work in the job, or not.
    pub fn set_on(&mut self, part: u32, is_on: bool) {
        let state = &mut self.parts[part as usize];
        state.is_on = is_on;
        self.n_on = if is_on { self.n_on + 1 } else { self.n_on - 1 };
        if !is_on && state.vacant == 0 {
            self.ready.push(part);
        }
    }

    /// Whether a part is whole and does not work.
    pub fn is_ready(&self, part: u32) -> bool {
        let state = self.parts[part as usize];
        !state.is_on && state.vacant == 0
    }

    /// Parts that are whole and do not work, once.
    pub fn take_ready(&mut self) -> Vec<u32> {
        let ready = std::mem::take(&mut self.ready);
        ready
            .into_iter()
            .filter(|&part| self.is_ready(part))
            .collect()
    }

    /// Whether there are parts that are whole and do not work.
    pub fn has_ready(&mut self) -> bool {
        self.ready = self.take_ready();
        !self.ready.is_empty()
    }

    /// Parts that work, or are to leave, and are not whole.
    pub fn doomed(&mut self) -> &[u32] {
        let parts = &self.parts;
        self.doomed.retain(|&part| {
            let state = parts[part as usize];
            state.is_on && state.vacant > 0
        });
        // One may have broken, been mended and broken again.
        self.doomed.sort_unstable();
        self.doomed.dedup();
        &self.doomed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_whole_when_all_of_its_slots_are() {
        let mut parts = Parts::new(2);
        parts.lose(1);
        parts.lose(1);
        assert_eq!(parts.doomed(), [1]);
        assert!(!parts.all_are_whole() && parts.any_is_whole());
        parts.set_on(1, false);
        assert!(parts.doomed().is_empty());
        parts.regain(1);
        assert!(!parts.has_ready());
        parts.regain(1);
        assert!(parts.has_ready() && parts.all_are_whole() && !parts.all_are_on());
        assert_eq!(parts.take_ready(), [1]);
        assert!(!parts.has_ready());
        assert_eq!((parts.n_on(), parts.n_breaks(1)), (1, 1));
    }
}
