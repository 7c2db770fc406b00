//! Requests that come, wait, are served and leave, event by event.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use rayon::prelude::*;

use super::arrivals::Arrivals;
use super::numbers::Numbers;
use super::pace::{Pace, Prefill};
use super::routing::{Routing, Tournament};
use super::served::{MeanRequest, Request, Served};
use super::server::Server;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::plan::DrawnLaw;
use crate::random::{MAX_RUNS, Random};

/// Requests between two looks at the stop flag.
const REQUESTS_BETWEEN_LOOKS: usize = 1 << 12;

/// Servers that are alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// How many.
    pub n_servers: u32,
    /// How fast each of them works.
    pub pace: Pace,
    /// What reading a prompt costs.
    pub prefill: Prefill,
    /// Requests that one of them has in service, at most.
    pub cap: Option<u32>,
}

/// Servers, and the requests that come to them.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// When requests come.
    pub arrivals: Arrivals,
    /// Tokens of a prompt; none without a law.
    pub input: Option<DrawnLaw>,
    /// Tokens of an answer.
    pub output: DrawnLaw,
    /// Known tokens of prompts and answers by request, instead of the laws.
    pub known: Option<Vec<[f64; 2]>>,
    /// Servers by group.
    pub groups: Vec<Group>,
    /// To which of them a request goes.
    pub routing: Routing,
}

/// Lets `requests` requests come in each of some runs, on the current rayon pool, and returns what
/// each run gave.
///
/// # Errors
/// [`Error::Domain`] for sizes and numbers out of their domains, [`Error::Memory`] where there is
/// none, and [`Error::Stopped`] once `control` asks for it.
pub fn serve(
    queue: &Queue,
    seed: u64,
    runs: u32,
    requests: u32,
    control: &Control,
) -> Result<Vec<Served>> {
    queue.check()?;
    if !(1..=MAX_RUNS).contains(&runs) {
        let requirement = format!(">= 1 and <= {MAX_RUNS}");
        return Err(Error::domain("runs", f64::from(runs), requirement));
    }
    if requests == 0 {
        return Err(Error::domain("requests", 0.0, ">= 1"));
    }
    let random = Random::new(seed);
    let run = |run| Walk::new(queue, &random, run, requests, control)?.go(control);
    (0..runs).into_par_iter().map(run).collect()
}

impl Queue {
    /// What requests ask for on average: at least a small part of a token, so that nothing is
    /// divided by 0.
    fn mean(&self) -> MeanRequest {
        let [input, output] = match &self.known {
            Some(known) => {
                let n = known.len().max(1) as f64;
                let mean = |place: usize| known.iter().map(|one| one[place]).sum::<f64>() / n;
                [mean(0), mean(1)]
            }
            None => [
                self.input.as_ref().map_or(0.0, DrawnLaw::mean),
                self.output.mean(),
            ],
        };
        MeanRequest {
            input,
            output: output.max(f64::MIN_POSITIVE.sqrt()),
        }
    }

    fn check(&self) -> Result<()> {
        let n_servers: u64 = self.groups.iter().map(|of| u64::from(of.n_servers)).sum();
        if n_servers == 0 || n_servers > u64::from(u32::MAX) {
            return Err(Error::domain(
                "servers",
                n_servers as f64,
                ">= 1 and <= 2^32 - 1",
            ));
        }
        for (index, group) in self.groups.iter().enumerate() {
            let within = |error: Error| error.within(&format!("groups.{index}"));
            group.prefill.check().map_err(within)?;
            if group.cap == Some(0) {
                return Err(within(Error::domain("cap", 0.0, ">= 1")));
            }
        }
        for (index, &[input, output]) in self.known.iter().flatten().enumerate() {
            if !(input.is_finite() && input >= 0.0 && output.is_finite() && output >= 0.0) {
                let field = format!("known.{index}");
                return Err(Error::domain(&field, input.min(output), "finite and >= 0"));
            }
        }
        Ok(())
    }
}

/// A moment at which a request may leave a server.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Moment {
    at_s: f64,
    server: u32,
    /// Changes of the server until then: after another one the moment is another, too.
    version: u32,
}

impl Eq for Moment {}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Moment {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_time = self.at_s.total_cmp(&other.at_s);
        by_time.then(self.server.cmp(&other.server))
    }
}

/// One run.
struct Walk<'a> {
    queue: &'a Queue,
    random: &'a Random,
    run: u32,
    input: Option<Numbers>,
    output: Numbers,
    servers: Vec<Server<'a>>,
    /// The group of each server.
    groups: Vec<u32>,
    served: Served,
}

impl<'a> Walk<'a> {
    fn new(
        queue: &'a Queue,
        random: &'a Random,
        run: u32,
        requests: u32,
        control: &Control,
    ) -> Result<Self> {
        let at_s = queue.arrivals.seconds(random, run, requests, control)?;
        if at_s.is_empty() {
            return Err(Error::domain("arrivals_s", 0.0, "of one request or more"));
        }
        let served = Served::new(at_s, queue.known.is_some())?;
        let counted_s = served.counted_s();
        let mut servers = Vec::new();
        let mut groups = Vec::new();
        for (index, group) in queue.groups.iter().enumerate() {
            let cap = group.cap.map_or(usize::MAX, |cap| cap as usize);
            for _ in 0..group.n_servers {
                servers.push(Server::new(&group.pace, group.prefill, cap, counted_s));
                groups.push(index as u32);
            }
        }
        let input = queue.input.as_ref();
        Ok(Self {
            queue,
            random,
            run,
            input: input
                .map(|law| Numbers::new(law, "input_tokens"))
                .transpose()?,
            output: Numbers::new(&queue.output, "output_tokens")?,
            servers,
            groups,
            served,
        })
    }

    fn go(mut self, control: &Control) -> Result<Served> {
        if self.queue.routing == Routing::RoundRobin || self.servers.len() == 1 {
            self.in_turn(control)?;
        } else {
            self.by_key(control)?;
        }
        for server in &mut self.servers {
            control.advance(0)?;
            server.advance(f64::INFINITY, &mut self.served);
        }
        let [first_s, last_s] = self.served.counted_s();
        let request_seconds: f64 = self.servers.iter().map(Server::request_seconds).sum();
        self.served.mean_number = request_seconds / (last_s - first_s);
        Ok(self.served)
    }

    /// Each server has the requests that come to it whatever others do, so that it goes on only
    /// when one comes.
    fn in_turn(&mut self, control: &Control) -> Result<()> {
        for request in 0..self.served.at_s.len() {
            look(request, control)?;
            let server = request % self.servers.len();
            let at_s = self.served.at_s[request];
            self.servers[server].advance(at_s, &mut self.served);
            self.offer(request, server);
        }
        Ok(())
    }

    /// A request goes to the server with the least key, which changes whenever one comes or leaves.
    fn by_key(&mut self, control: &Control) -> Result<()> {
        let (routing, mean) = (self.queue.routing, self.queue.mean());
        let key = |server: &Server| match routing {
            Routing::SpeedAware => server.seconds_a_token_of_next(mean),
            _ => server.number() as f64,
        };
        let mut keys = Tournament::new(self.servers.iter().map(key).collect());
        let mut versions = vec![0_u32; self.servers.len()];
        let mut moments: BinaryHeap<Reverse<Moment>> = BinaryHeap::new();
        for request in 0..self.served.at_s.len() {
            look(request, control)?;
            let at_s = self.served.at_s[request];
            while let Some(&Reverse(next)) = moments.peek()
                && next.at_s <= at_s
            {
                moments.pop();
                let server = next.server as usize;
                if next.version == versions[server] {
                    self.servers[server].advance(next.at_s, &mut self.served);
                    changed(server, &self.servers, &mut versions, &mut moments);
                    keys.set(server, key(&self.servers[server]));
                }
            }
            let server = keys.first();
            self.servers[server].advance(at_s, &mut self.served);
            self.offer(request, server);
            changed(server, &self.servers, &mut versions, &mut moments);
            keys.set(server, key(&self.servers[server]));
        }
        Ok(())
    }

    fn offer(&mut self, request: usize, server: usize) {
        let number = request as u32;
        let [input, output] = match &self.queue.known {
            Some(known) => known[request % known.len()],
            None => {
                let of = |numbers: &Numbers| numbers.of(self.random, self.run, number);
                [self.input.as_ref().map_or(0.0, of), of(&self.output)]
            }
        };
        let asked = Request {
            number,
            at_s: self.served.at_s[request],
            input,
            output,
        };
        self.served.output[request] = output;
        self.served.found[request] = self.servers[server].number() as u32;
        self.served.group[request] = self.groups[server];
        self.servers[server].offer(asked, &mut self.served);
    }
}

/// Looks at the stop flag now and then.
fn look(request: usize, control: &Control) -> Result<()> {
    if request.is_multiple_of(REQUESTS_BETWEEN_LOOKS) {
        control.advance(REQUESTS_BETWEEN_LOOKS as u64)?;
    }
    Ok(())
}

/// A request has come to a server or left it, so that the next one leaves at another moment.
fn changed(
    server: usize,
    servers: &[Server],
    versions: &mut [u32],
    moments: &mut BinaryHeap<Reverse<Moment>>,
) {
    versions[server] = versions[server].wrapping_add(1);
    let at_s = servers[server].next_leaves_s();
    if at_s.is_finite() {
        moments.push(Reverse(Moment {
            at_s,
            server: server as u32,
            version: versions[server],
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::{Exponential, Law, LogNormal};

    fn exponential(mean: f64) -> DrawnLaw {
        Law::Exponential(Exponential::new(mean, 0.0).unwrap()).into()
    }

    fn lognormal(median: f64, sigma: f64) -> DrawnLaw {
        Law::LogNormal(LogNormal::new(median, sigma).unwrap()).into()
    }

    fn group(n_servers: u32, pace: Pace, cap: Option<u32>) -> Group {
        Group {
            n_servers,
            pace,
            prefill: Prefill::default(),
            cap,
        }
    }

    fn queue(per_s: f64, output: DrawnLaw, groups: Vec<Group>, routing: Routing) -> Queue {
        Queue {
            arrivals: Arrivals::renewal(per_s, 1.0).unwrap(),
            input: None,
            output,
            known: None,
            groups,
            routing,
        }
    }

    fn go(queue: &Queue, requests: u32) -> Served {
        let served = serve(queue, 3, 1, requests, &Control::default()).unwrap();
        served.into_iter().next().unwrap()
    }

    /// A request as the brute force knows it.
    #[derive(Clone, Copy)]
    struct Job {
        number: usize,
        input: f64,
        context: f64,
        left: f64,
    }

    /// Responses and waits of one server's requests with what remains of each written down and
    /// changed at every event: no clock, no heap, no sum of contexts.
    fn by_brute_force(group: &Group, at_s: &[f64], asked: &[[f64; 2]]) -> Vec<[f64; 2]> {
        let cap = group.cap.map_or(usize::MAX, |cap| cap as usize);
        let mut found = vec![[0.0; 2]; at_s.len()];
        let (mut now_s, mut resumes_s) = (0.0_f64, 0.0_f64);
        let (mut inside, mut outside): (Vec<Job>, Vec<Job>) = (Vec::new(), Vec::new());
        let mut come = 0;
        while come < at_s.len() || !inside.is_empty() {
            let context = inside.iter().map(|job| job.context).sum();
            let least = inside
                .iter()
                .map(|job| job.left)
                .fold(f64::INFINITY, f64::min);
            let from_s = now_s.max(resumes_s);
            let leaves_s = if inside.is_empty() {
                f64::INFINITY
            } else {
                from_s + group.pace.seconds(inside.len(), context, least)
            };
            let comes_s = at_s.get(come).copied().unwrap_or(f64::INFINITY);
            let until_s = leaves_s.min(comes_s);
            let n = inside.len();
            let tokens = if leaves_s <= comes_s {
                least
            } else {
                group.pace.tokens(n, context, (until_s - from_s).max(0.0))
            };
            for job in &mut inside {
                job.left -= tokens;
                job.context += tokens;
            }
            now_s = until_s;
            if leaves_s <= comes_s {
                let gone = inside.iter().position(|job| job.left <= 0.0).unwrap();
                let gone = inside.remove(gone);
                found[gone.number][0] = now_s - at_s[gone.number];
            } else {
                let [input, left] = asked[come];
                outside.push(Job {
                    number: come,
                    input,
                    context: input,
                    left,
                });
                come += 1;
            }
            while inside.len() < cap && !outside.is_empty() {
                let job = outside.remove(0);
                found[job.number][1] = now_s - at_s[job.number];
                resumes_s = resumes_s.max(now_s) + group.prefill.seconds(job.input);
                inside.push(job);
            }
        }
        found
    }

    #[test]
    fn a_server_does_what_a_list_of_all_that_remains_says() {
        let with_context = (1..=6)
            .map(|n| [0.02 + 0.002 * f64::from(n), 4e-7])
            .collect();
        let groups = [
            group(1, Pace::linear(0.0, 0.05).unwrap(), None),
            group(1, Pace::linear(0.05, 0.0).unwrap(), Some(3)),
            group(1, Pace::of_numbers(with_context).unwrap(), Some(6)),
        ];
        for (index, (mut group, per_s)) in groups.into_iter().zip([0.6, 1.8, 5.0]).enumerate() {
            group.prefill.token_s = 1e-5 * index as f64;
            group.prefill.square_s = 1e-9 * index as f64;
            let mut queue = queue(
                per_s,
                lognormal(20.0, 0.8),
                vec![group],
                Routing::RoundRobin,
            );
            queue.input = Some(lognormal(1000.0, 1.0));
            let served = go(&queue, 3_000);
            let inputs = Numbers::new(queue.input.as_ref().unwrap(), "input_tokens").unwrap();
            let random = Random::new(3);
            let asked: Vec<[f64; 2]> = (0..)
                .zip(&served.output)
                .map(|(number, &output)| [inputs.of(&random, 0, number), output])
                .collect();
            let expected = by_brute_force(&queue.groups[0], &served.at_s, &asked);
            let mut longest = 0.0_f64;
            for (request, [response_s, wait_s]) in expected.into_iter().enumerate() {
                let found = [served.response_s[request], served.wait_s[request]];
                let off = (found[0] - response_s).abs().max((found[1] - wait_s).abs());
                assert!(
                    off < 1e-8 * (1.0 + response_s),
                    "{index} {request} {found:?}"
                );
                longest = longest.max(wait_s);
            }
            // Some waited where there is a cap, and none elsewhere.
            assert_eq!(longest > 0.0, queue.groups[0].cap.is_some());
        }
    }

    #[test]
    fn passes_one_by_one_take_as_long_as_the_clock_says() {
        // Requests join between passes, which the clock does not know: half a pass in all that
        // they take, so passes are short here.
        let (fixed_s, each_s, per_s) = (2e-4, 2e-6, 12.0);
        let group = group(1, Pace::linear(fixed_s, each_s).unwrap(), Some(64));
        let queue = queue(
            per_s,
            lognormal(1_500.0, 0.5),
            vec![group],
            Routing::RoundRobin,
        );
        let served = go(&queue, 4_000);
        let mut left: Vec<(usize, u32)> = Vec::new();
        let (mut now_s, mut come, mut gone, mut sum_s) = (0.0_f64, 0, 0, 0.0);
        let n = served.at_s.len();
        let mut waiting = std::collections::VecDeque::new();
        while gone < n {
            while come < n && served.at_s[come] <= now_s {
                waiting.push_back(come);
                come += 1;
            }
            while left.len() < 64 && !waiting.is_empty() {
                let request = waiting.pop_front().unwrap();
                left.push((request, served.output[request].round() as u32));
            }
            if left.is_empty() {
                now_s = served.at_s[come];
                continue;
            }
            now_s += fixed_s + each_s * left.len() as f64;
            left.iter_mut().for_each(|(_, tokens)| *tokens -= 1);
            left.retain(|&(request, tokens)| {
                if tokens == 0 {
                    sum_s += now_s - served.at_s[request];
                    gone += 1;
                }
                tokens > 0
            });
        }
        let clock_s: f64 = served.response_s.iter().sum();
        assert!((clock_s / sum_s - 1.0).abs() < 2e-3, "{clock_s} {sum_s}");
    }

    #[test]
    fn routing_by_the_least_number_is_routing_by_the_least_number() {
        // Held against a queue that looks at all servers each time.
        let pace = || Pace::linear(0.01, 0.001).unwrap();
        for routing in Routing::ALL {
            let groups = vec![group(3, pace(), Some(4)), group(2, pace(), Some(2))];
            let queue = queue(30.0, exponential(20.0), groups, routing);
            let served = go(&queue, 2_000);
            let mut servers: Vec<(usize, Vec<f64>)> = vec![(0, vec![]); 5];
            for request in 0..2_000 {
                let at_s = served.at_s[request];
                for (_, leaves) in &mut servers {
                    leaves.retain(|&leaves_s| leaves_s > at_s);
                }
                let numbers: Vec<usize> = servers.iter().map(|(_, leaves)| leaves.len()).collect();
                let least = *numbers.iter().min().unwrap();
                let found = served.found[request] as usize;
                match routing {
                    Routing::RoundRobin => assert_eq!(found, numbers[request % 5]),
                    Routing::LeastLoaded => assert_eq!(found, least),
                    Routing::SpeedAware => assert!(found >= least),
                }
                // The server of the request: the first in its group that fits.
                let group = served.group[request];
                let of_group = if group == 0 { 0..3 } else { 3..5 };
                let server = match routing {
                    Routing::RoundRobin => request % 5,
                    _ => of_group.clone().find(|&s| numbers[s] == found).unwrap(),
                };
                assert!(of_group.contains(&server));
                servers[server].1.push(at_s + served.response_s[request]);
            }
        }
    }

    #[test]
    fn servers_that_are_alike_are_as_fast_as_they_have_few_requests() {
        // Whatever the contexts of those in service, and the prompts that are being read.
        let passes = (1..=8).map(|n| [0.01 + 0.001 * f64::from(n), 1e-6]);
        let mut alike = group(6, Pace::of_numbers(passes.collect()).unwrap(), Some(8));
        alike.prefill.token_s = 2e-5;
        let found = |routing| {
            let mut queue = queue(40.0, lognormal(60.0, 0.9), vec![alike.clone()], routing);
            queue.input = Some(lognormal(2000.0, 1.0));
            go(&queue, 20_000)
        };
        let (number, speed) = (found(Routing::LeastLoaded), found(Routing::SpeedAware));
        assert_eq!(number, speed);
        assert!(number.wait_s.iter().any(|&wait_s| wait_s > 0.0));
    }

    #[test]
    fn a_fast_server_gets_more_where_speed_is_looked_at() {
        let groups = || {
            vec![
                group(1, Pace::linear(0.0, 0.010).unwrap(), None),
                group(1, Pace::linear(0.0, 0.030).unwrap(), None),
            ]
        };
        let of = |routing| {
            let served = go(&queue(4.0, exponential(20.0), groups(), routing), 20_000);
            let mean_s = served.response_s.iter().sum::<f64>() / 20_000.0;
            let slow = served.group.iter().filter(|&&group| group == 1).count();
            (mean_s, slow)
        };
        let (turns, number, speed) = (
            of(Routing::RoundRobin),
            of(Routing::LeastLoaded),
            of(Routing::SpeedAware),
        );
        assert_eq!(turns.1, 10_000);
        assert!(
            speed.1 < number.1 && number.1 < 10_000,
            "{speed:?} {number:?}"
        );
        assert!(speed.0 < number.0 && number.0 < turns.0);
    }

    #[test]
    fn the_mean_number_is_the_rate_times_the_mean_response() {
        let groups = vec![group(2, Pace::linear(0.01, 0.001).unwrap(), Some(4))];
        let queue = queue(40.0, exponential(10.0), groups, Routing::LeastLoaded);
        let served = go(&queue, 200_000);
        let [first, end] = served.counted;
        assert_eq!([first, end], [40_000, 190_000]);
        let n = (end - first) as f64;
        let mean_s = served.response_s[first..end].iter().sum::<f64>() / n;
        let rate = n / (served.at_s[end - 1] - served.at_s[first]);
        // Those who are inside at the ends belong to one side of the law only.
        assert!((served.mean_number / (rate * mean_s) - 1.0).abs() < 1e-3);
    }

    #[test]
    fn runs_differ_and_do_not_depend_on_how_many_there_are() {
        let groups = vec![group(1, Pace::linear(0.05, 0.0).unwrap(), Some(2))];
        let queue = queue(1.0, exponential(10.0), groups, Routing::RoundRobin);
        let control = Control::default();
        let three = serve(&queue, 9, 3, 500, &control).unwrap();
        let two = serve(&queue, 9, 2, 500, &control).unwrap();
        assert_eq!(three[..2], two);
        assert_ne!(three[0].at_s, three[1].at_s);
        control.stop();
        assert_eq!(serve(&queue, 9, 2, 500, &control), Err(Error::Stopped));
    }

    #[test]
    fn what_is_out_of_its_domain_is_refused() {
        let groups = vec![group(0, Pace::linear(1.0, 0.0).unwrap(), None)];
        let queue = queue(1.0, exponential(1.0), groups, Routing::RoundRobin);
        let control = Control::default();
        let refused = |queue: &Queue, runs, requests| {
            serve(queue, 1, runs, requests, &control)
                .unwrap_err()
                .to_string()
        };
        assert!(refused(&queue, 1, 1).contains("servers"));
        let mut queue = Queue {
            groups: vec![group(1, Pace::linear(1.0, 0.0).unwrap(), Some(0))],
            ..queue
        };
        assert!(refused(&queue, 1, 1).contains("groups.0.cap"));
        queue.groups[0].cap = None;
        assert!(refused(&queue, 0, 1).contains("runs"));
        assert!(refused(&queue, 1, 0).contains("requests"));
        queue.groups[0].prefill.token_s = f64::NAN;
        assert!(refused(&queue, 1, 1).contains("groups.0.prefill_token_s"));
        queue.groups[0].prefill.token_s = 0.0;
        queue.known = Some(vec![[1.0, -1.0]]);
        assert!(refused(&queue, 1, 1).contains("known.0"));
    }
}
