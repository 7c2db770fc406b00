//! What requests ask for, and what became of them.

use crate::error::Result;
use crate::room::filled;

/// Share of the requests of a run that come before numbers are counted, and after.
const NOT_COUNTED: [f64; 2] = [0.2, 0.05];

/// What a request asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    /// Its number.
    pub number: u32,
    /// Seconds at which it came.
    pub at_s: f64,
    /// Tokens of its prompt.
    pub input: f64,
    /// Tokens of its answer.
    pub output: f64,
}

/// What requests ask for on average.
#[derive(Debug, Clone, Copy)]
pub(super) struct MeanRequest {
    /// Tokens of a prompt.
    pub input: f64,
    /// Tokens of an answer, positive.
    pub output: f64,
}

/// What one run gave, by request in the order in which they came.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// Seconds at which it came.
    pub at_s: Vec<f64>,
    /// Seconds that it waited before its service began.
    pub wait_s: Vec<f64>,
    /// Seconds from when it came until its prompt had been read.
    pub first_s: Vec<f64>,
    /// Seconds from when it came until it left.
    pub response_s: Vec<f64>,
    /// Tokens of its answer.
    pub output: Vec<f64>,
    /// Requests that it found at its server.
    pub found: Vec<u32>,
    /// The group of its server.
    pub group: Vec<u32>,
    /// The first request that is counted, and the one after the last.
    pub counted: [usize; 2],
    /// Mean number of requests in the system from when the first of these comes until the last.
    pub mean_number: f64,
}

impl Served {
    pub(super) fn new(at_s: Vec<f64>, is_known: bool) -> Result<Self> {
        let n = at_s.len();
        let [before, after] = if is_known { [0.0; 2] } else { NOT_COUNTED };
        let first = (before * n as f64) as usize;
        let end = n - (after * n as f64) as usize;
        Ok(Self {
            wait_s: filled(0.0, n)?,
            first_s: filled(0.0, n)?,
            response_s: filled(0.0, n)?,
            output: filled(0.0, n)?,
            found: filled(0, n)?,
            group: filled(0, n)?,
            at_s,
            counted: [first, end],
            mean_number: 0.0,
        })
    }

    /// Seconds from when the first request that is counted comes until the last one.
    pub(super) fn counted_s(&self) -> [f64; 2] {
        let [first, end] = self.counted;
        [self.at_s[first], self.at_s[end - 1]]
    }

    /// The service of a request begins.
    pub(super) fn began(&mut self, request: Request, at_s: f64) {
        self.wait_s[request.number as usize] = at_s - request.at_s;
    }

    /// A request leaves, whose prompt had been read at `first_s`.
    pub(super) fn left(&mut self, request: Request, first_s: f64, at_s: f64) {
        let place = request.number as usize;
        self.first_s[place] = first_s - request.at_s;
        self.response_s[place] = at_s - request.at_s;
    }
}
