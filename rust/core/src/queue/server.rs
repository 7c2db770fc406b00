//! One server: what is in service, what waits, and when the next one leaves.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use super::pace::{Pace, Prefill};
use super::served::{MeanRequest, Request, Served};

/// A request in service.
#[derive(Debug, Clone, Copy)]
struct InService {
    /// What the server's clock says when it leaves.
    leaves: f64,
    /// Seconds at which its prompt had been read.
    first_s: f64,
    request: Request,
}

impl PartialEq for InService {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for InService {}

impl PartialOrd for InService {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for InService {
    /// The one that leaves first is the greatest, for that is what a heap has at its top.
    fn cmp(&self, other: &Self) -> Ordering {
        let later = other.leaves.total_cmp(&self.leaves);
        later.then(other.request.number.cmp(&self.request.number))
    }
}

/// A server.
pub(super) struct Server<'a> {
    pace: &'a Pace,
    prefill: Prefill,
    /// Requests in service, at most.
    cap: usize,
    /// Seconds up to which all has happened.
    now_s: f64,
    /// Seconds up to which prompts are read, and no request gets a token.
    resumes_s: f64,
    /// Tokens that a request would have that has been in service from the beginning on. Each
    /// leaves at a time of this clock that is known when its service begins.
    clock: f64,
    /// Tokens of context of all in service.
    context: f64,
    in_service: BinaryHeap<InService>,
    waiting: VecDeque<Request>,
    /// Seconds between which numbers are counted.
    counted: [f64; 2],
    /// Integral of the number of requests over those seconds.
    request_seconds: f64,
}

impl<'a> Server<'a> {
    pub fn new(pace: &'a Pace, prefill: Prefill, cap: usize, counted: [f64; 2]) -> Self {
        Self {
            pace,
            prefill,
            cap,
            now_s: 0.0,
            resumes_s: 0.0,
            clock: 0.0,
            context: 0.0,
            in_service: BinaryHeap::new(),
            waiting: VecDeque::new(),
            counted,
            request_seconds: 0.0,
        }
    }

    /// Requests that wait or are in service.
    pub fn number(&self) -> usize {
        self.in_service.len() + self.waiting.len()
    }

    /// Whether a request that comes now has to wait for another one to leave.
    pub fn is_full(&self) -> bool {
        self.in_service.len() >= self.cap
    }

    /// Integral of the number of requests over the seconds that are counted.
    pub fn request_seconds(&self) -> f64 {
        self.request_seconds
    }

    /// Seconds for one token of a request, were it the next to come and all others like the mean:
    /// of a pass, of the prompts that come with it, and of those that wait before it.
    ///
    /// It grows with every request that the server is given. Were it of the contexts that there are,
    /// a server whose requests have just begun would look fast, and get more of them.
    pub fn seconds_a_token_of_next(&self, mean: MeanRequest) -> f64 {
        let n = self.number() + 1;
        let in_service = n.min(self.cap) as f64;
        let context = mean.input + 0.5 * mean.output;
        let pass_s = self.pace.pass_s(n.min(self.cap), context * in_service);
        let prompts_s = in_service * self.prefill.seconds(mean.input) / mean.output;
        (pass_s + prompts_s) * (n as f64 / in_service)
    }

    /// Seconds at which the next request leaves, if none comes before.
    pub fn next_leaves_s(&self) -> f64 {
        match self.in_service.peek() {
            None => f64::INFINITY,
            Some(next) => {
                let tokens = (next.leaves - self.clock).max(0.0);
                let n = self.in_service.len();
                let from_s = self.now_s.max(self.resumes_s);
                from_s + self.pace.seconds(n, self.context, tokens)
            }
        }
    }

    /// Lets all happen up to `until_s`, and tells `served` of the requests that leave.
    pub fn advance(&mut self, until_s: f64, served: &mut Served) {
        while !self.in_service.is_empty() {
            let leaves_s = self.next_leaves_s();
            if leaves_s > until_s {
                break;
            }
            self.leave(leaves_s, served);
        }
        // After the last one has left, there is nothing to go on with.
        if until_s.is_finite() {
            self.pass(until_s);
        }
    }

    /// A request comes, after all has happened up to now.
    pub fn offer(&mut self, request: Request, served: &mut Served) {
        if self.is_full() {
            self.waiting.push_back(request);
        } else {
            self.begin(request, served);
        }
    }

    /// Time goes on while nothing comes or leaves.
    fn pass(&mut self, until_s: f64) {
        self.count(until_s);
        let from_s = self.now_s.max(self.resumes_s);
        let n = self.in_service.len();
        if n > 0 && until_s > from_s {
            let tokens = self.pace.tokens(n, self.context, until_s - from_s);
            self.clock += tokens;
            self.context += n as f64 * tokens;
        }
        self.now_s = until_s;
    }

    fn count(&mut self, until_s: f64) {
        let [first_s, last_s] = self.counted;
        let seconds = until_s.min(last_s) - self.now_s.max(first_s);
        if seconds > 0.0 {
            self.request_seconds += self.number() as f64 * seconds;
        }
    }

    /// The next request leaves, and one that waits takes its place.
    fn leave(&mut self, at_s: f64, served: &mut Served) {
        self.count(at_s);
        let n = self.in_service.len() as f64;
        let Some(gone) = self.in_service.pop() else {
            return;
        };
        let tokens = (gone.leaves - self.clock).max(0.0);
        self.context += n * tokens - (gone.request.input + gone.request.output);
        self.clock = gone.leaves;
        self.now_s = at_s;
        served.left(gone.request, gone.first_s, at_s);
        if let Some(next) = self.waiting.pop_front() {
            self.begin(next, served);
        } else if self.in_service.is_empty() {
            // What sums have lost by rounding ends here.
            self.clock = 0.0;
            self.context = 0.0;
        }
    }

    /// A request's prompt is read, and then it gets tokens.
    fn begin(&mut self, request: Request, served: &mut Served) {
        served.began(request, self.now_s);
        self.resumes_s = self.now_s.max(self.resumes_s) + self.prefill.seconds(request.input);
        self.context += request.input;
        self.in_service.push(InService {
            leaves: self.clock + request.output,
            first_s: self.resumes_s,
            request,
        });
    }
}
