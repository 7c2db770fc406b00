//! A job on a cluster whose units fail, from failure to failure and repair to repair.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rayon::prelude::*;

use super::clock::{Clocks, Failure, UnitFailures};
use super::fleet::{Exhausted, Fleet, Regrow};
use super::hours::{FailureEvent, Fates, Name, RunHours, Until};
use super::ledger::Duty;
use super::nodes::Nodes;
use super::shape::NONE;
use super::sum::Sum;
use super::work::{Stop, Stretch, StretchEnd, Work};
use crate::control::Control;
use crate::error::Result;
use crate::random::Random;

/// Failures between two looks at the stop flag.
const FAILURES_BETWEEN_LOOKS: u64 = 1 << 14;

/// Failures of a kind whose state is read at a time.
const READ_AHEAD: u64 = 64;

/// Simulates some runs of a job, each on a thread of the current pool.
///
/// `keeps_log` keeps each failure and each stretch between interruptions.
///
/// # Errors
/// [`Error::Stopped`](crate::Error::Stopped) once `control` asks for it.
pub fn fates(
    fleet: &Fleet,
    seed: u64,
    runs: std::ops::Range<u32>,
    until: &Until,
    keeps_log: bool,
    control: &Control,
) -> Result<Vec<Fates>> {
    let random = Random::new(seed);
    let first = runs.start;
    let walk = |run: u32| {
        control.advance(0)?;
        let work = until.work.get((run - first) as usize);
        let end = End {
            seconds: until.seconds,
            interruptions: until.interruptions,
            work: work.copied().unwrap_or(f64::INFINITY),
        };
        Walk::new(fleet, &random, run, end, keeps_log).go(control)
    };
    runs.into_par_iter().map(walk).collect()
}

/// When one run ends.
#[derive(Debug, Clone, Copy)]
struct End {
    seconds: f64,
    interruptions: u64,
    work: f64,
}

/// What the job does, and until when.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Running,
    /// Stopped while replicas recover; nothing is lost.
    Stalled(f64),
    Detecting(f64),
    Waiting,
    Restarting(f64),
    /// Saving its state before a restart that was decided on.
    Saving(f64),
}

impl State {
    fn end_s(self) -> f64 {
        match self {
            Self::Running | Self::Waiting => f64::INFINITY,
            Self::Stalled(end_s)
            | Self::Detecting(end_s)
            | Self::Restarting(end_s)
            | Self::Saving(end_s) => end_s,
        }
    }

    /// What seconds are called meanwhile; those of running depend on what comes after.
    fn name(self) -> Option<Name> {
        match self {
            Self::Running => None,
            Self::Stalled(_) | Self::Restarting(_) => Some(Name::Restart),
            Self::Detecting(_) => Some(Name::Detection),
            Self::Waiting => Some(Name::Waiting),
            Self::Saving(_) => Some(Name::Checkpoint),
        }
    }
}

/// Something that comes at a time that is known: bits of seconds, which order as seconds do, the
/// kind of a unit that has been repaired, the unit and the number of its next event; or no kind, a
/// part that joins again, and its ticket.
type Timer = Reverse<(u64, u32, u32, u32)>;

/// A part that is whole and joins later.
#[derive(Debug, Clone, Copy)]
struct Returning {
    part: u32,
    /// Number of the timer that counts.
    ticket: u32,
    /// How often it had ceased to be whole when the timer was set: it must not have done so again.
    n_breaks: u32,
}

/// One run.
struct Walk<'a> {
    fleet: &'a Fleet,
    until: End,
    nodes: Nodes<'a>,
    clocks: Vec<Clocks<'a>>,
    timers: BinaryHeap<Timer>,
    work: Work,
    state: State,
    now_s: f64,
    /// Seconds for which clocks have stood.
    stood_s: f64,
    /// Seconds of running since the job went on, up to the last time that it began to run.
    run_s: f64,
    run_begun_s: f64,
    /// When parts join, or the work is done, unless the job stops before.
    join_s: f64,
    done_s: f64,
    /// Whether the job goes back to a global checkpoint.
    is_far: bool,
    /// Whether anything has been replaced since the job stopped.
    swaps: bool,
    /// Whether anything has been repaired since that was acted on.
    has_repaired: bool,
    /// Parts that join one by one.
    returning: Vec<Returning>,
    last_ticket: u32,
    work_per_s: Vec<f64>,
    named: Vec<[Sum; 12]>,
    hours: RunHours,
    keeps_log: bool,
    events: Vec<FailureEvent>,
    stretches: Vec<Stretch>,
    hit: Vec<u32>,
    n_events: u64,
    n_interruptions: u64,
}

impl<'a> Walk<'a> {
    fn new(fleet: &'a Fleet, random: &'a Random, run: u32, until: End, keeps_log: bool) -> Self {
        let n_pools = fleet.n_pools();
        let mut walk = Self {
            fleet,
            until,
            nodes: Nodes::new(&fleet.shape, &fleet.failures),
            clocks: Vec::with_capacity(fleet.n_kinds()),
            timers: BinaryHeap::new(),
            work: Work::new(fleet.checkpoints, n_pools),
            state: State::Waiting,
            now_s: 0.0,
            stood_s: 0.0,
            run_s: 0.0,
            run_begun_s: 0.0,
            join_s: f64::INFINITY,
            done_s: f64::INFINITY,
            is_far: false,
            swaps: false,
            has_repaired: false,
            returning: Vec::new(),
            last_ticket: 0,
            work_per_s: fleet
                .shape
                .pools
                .iter()
                .map(|pool| pool.work_per_s)
                .collect(),
            named: vec![[Sum::default(); 12]; n_pools],
            hours: RunHours {
                interruptions: vec![0; fleet.n_kinds()],
                failures: vec![0; fleet.n_kinds()],
                ..RunHours::default()
            },
            keeps_log,
            events: Vec::new(),
            stretches: Vec::new(),
            hit: Vec::new(),
            n_events: 0,
            n_interruptions: 0,
        };
        for (kind, failures) in fleet.failures.iter().enumerate() {
            let (clocks, in_repair) = Clocks::new(failures, random, run, until.seconds);
            walk.clocks.push(clocks);
            for (failure, left_s) in in_repair {
                walk.nodes.fail(kind, failures, failure.unit);
                walk.repair_later(kind, failure, left_s);
            }
        }
        walk.nodes.assign(false);
        if !walk.is_blocked() {
            walk.run();
        }
        walk
    }

    fn go(mut self, control: &Control) -> Result<Fates> {
        loop {
            let timer_s = self.timer_s();
            let state_s = self.state.end_s().min(self.join_s).min(self.done_s);
            let (kind, failure_s) = self.next_failure();
            let at_s = timer_s.min(state_s).min(failure_s);
            if at_s >= self.until.seconds {
                self.advance(self.until.seconds);
                break;
            }
            self.advance(at_s);
            let is_over = if timer_s <= at_s {
                self.timer();
                false
            } else if state_s <= at_s {
                self.state_ends()
            } else {
                self.fail(kind)?;
                self.n_events += 1;
                if self.n_events.is_multiple_of(FAILURES_BETWEEN_LOOKS) {
                    control.advance(FAILURES_BETWEEN_LOOKS)?;
                }
                false
            };
            if is_over {
                break;
            }
        }
        Ok(self.finish())
    }

    /// The kind that fails next, and when.
    fn next_failure(&self) -> (usize, f64) {
        let is_up = matches!(self.state, State::Running | State::Saving(_));
        if !is_up && !self.fleet.recovery.can_fail {
            return (0, f64::INFINITY);
        }
        let mut first = (0, f64::INFINITY);
        for (kind, clocks) in self.clocks.iter().enumerate() {
            if clocks.next_s < first.1 {
                first = (kind, clocks.next_s);
            }
        }
        // A clock that stood before may be behind by a rounding error.
        (first.0, (first.1 + self.stood_s).max(self.now_s))
    }

    fn timer_s(&self) -> f64 {
        let first = self.timers.peek();
        first.map_or(f64::INFINITY, |Reverse((bits, ..))| f64::from_bits(*bits))
    }

    fn advance(&mut self, at_s: f64) {
        let is_up = matches!(self.state, State::Running | State::Saving(_));
        if !is_up && !self.fleet.recovery.can_fail {
            self.stood_s += at_s - self.now_s;
        }
        self.now_s = at_s;
        self.nodes.set_now(at_s);
    }

    /// Seconds of clocks.
    fn clock_s(&self) -> f64 {
        self.now_s - self.stood_s
    }

    fn repair_later(&mut self, kind: usize, failure: Failure, repair_s: f64) {
        let at = (self.now_s + repair_s).to_bits();
        self.timers
            .push(Reverse((at, kind as u32, failure.unit, failure.number)));
    }

    /// Lets the job do something else from now on.
    fn enter(&mut self, state: State) {
        self.name_held();
        self.state = state;
        self.join_s = f64::INFINITY;
        self.done_s = f64::INFINITY;
    }

    /// Gives the seconds of ranks since the last time their name.
    fn name_held(&mut self) {
        for pool in 0..self.named.len() {
            let held_s = self.nodes.take_held_s(pool);
            // What running was good for is known when it stops.
            if let Some(name) = self.state.name() {
                self.named[pool][name as usize].add(held_s);
            }
        }
    }

    /// Seconds of running since the job went on.
    fn run_now_s(&self) -> f64 {
        match self.state {
            State::Running => self.run_s + (self.now_s - self.run_begun_s),
            _ => self.run_s,
        }
    }

    /// Goes on from the last checkpoint, with all parts that are whole.
    fn run(&mut self) {
        self.join_all();
        self.nodes.switch_off();
        self.enter(State::Running);
        self.run_s = 0.0;
        self.run_begun_s = self.now_s;
        let nodes = &self.nodes;
        self.work
            .begin((0..self.named.len()).map(|pool| nodes.held(pool) as f64));
        self.find_done();
    }

    /// Lets all parts work that are whole.
    fn join_all(&mut self) {
        self.nodes.switch_on();
        for one in std::mem::take(&mut self.returning) {
            self.nodes.switch_on_part(one.part);
        }
    }

    /// Goes on running with other ranks, or after a pause.
    fn run_on(&mut self) {
        self.run_s = self.run_now_s();
        let join_s = self.join_s;
        self.enter(State::Running);
        self.join_s = join_s;
        self.run_begun_s = self.now_s;
        let nodes = &self.nodes;
        let held = (0..self.named.len()).map(|pool| nodes.held(pool) as f64);
        self.work.change(self.run_s, held);
        self.find_done();
    }

    /// Finds out when the work is done, if nothing fails.
    fn find_done(&mut self) {
        if self.until.work < f64::INFINITY {
            let run_s = self.work.done_s(self.until.work, &self.work_per_s);
            self.done_s = (self.run_begun_s + (run_s - self.run_s)).max(self.now_s);
        }
    }

    /// Whether the job cannot go on as it is.
    fn is_blocked(&self) -> bool {
        let waits = self.fleet.recovery.exhausted == Exhausted::Wait;
        if waits && self.fleet.recovery.replicas.is_none() {
            !self.nodes.parts.all_are_whole()
        } else {
            !self.nodes.parts.any_is_whole()
        }
    }

    /// The next failure of a kind comes.
    fn fail(&mut self, kind: usize) -> Result<()> {
        let failure = self.clocks[kind].take()?;
        let failures = &self.fleet.failures[kind];
        if failures.pool().is_some() && self.nodes.is_down(kind, failure.unit) {
            // One clock for all units: that of a unit in repair stands.
            return Ok(());
        }
        if self.hours.failures[kind].is_multiple_of(READ_AHEAD)
            && let Some(units) = self.clocks[kind].upcoming(READ_AHEAD as usize)
        {
            self.nodes.read_ahead(failures, units);
        }
        self.hours.failures[kind] += 1;
        self.hit.clear();
        let loss = self.nodes.loss(failures, failure.unit, &mut self.hit);
        if failure.repair_s > 0.0 {
            self.nodes.fail(kind, failures, failure.unit);
            self.repair_later(kind, failure, failure.repair_s);
        } else {
            let clock_s = self.clock_s();
            self.clocks[kind].renew(failure.unit, failure.number, clock_s);
        }
        let is_far = !failures.keeps_local()
            && self
                .fleet
                .checkpoints
                .is_some_and(|all| all.global.is_some());
        let saves = failures.saves_first() && self.fleet.checkpoints.is_some();
        let interrupts = match self.state {
            // What is to be replaced with a restart is, with one that is under way.
            State::Saving(_) | State::Stalled(_) if saves => false,
            State::Running | State::Saving(_) | State::Stalled(_) => loss.is_held,
            State::Detecting(_) | State::Restarting(_) | State::Waiting => false,
        };
        if interrupts {
            self.hours.interruptions[kind] += 1;
            self.n_interruptions += 1;
            if saves {
                self.save();
                self.swaps = true;
            } else {
                self.interrupt(failures, is_far);
            }
        } else if saves {
            // A restart that is under way serves for it.
        } else if loss.is_held {
            self.fail_again(loss.is_of_whole, is_far);
        } else if self.state == State::Running {
            self.look_after_others();
        }
        if self.keeps_log {
            self.events.push(FailureEvent {
                at_s: self.now_s,
                kind: kind as u32,
                unit: failure.unit,
                repair_s: failure.repair_s,
                interrupts,
            });
        }
        Ok(())
    }

    /// A failure stops the job, or some of its replicas.
    fn interrupt(&mut self, failures: &UnitFailures, is_far: bool) {
        if let Some(replicas) = self.fleet.recovery.replicas
            && failures.pool().is_some()
            && !matches!(self.state, State::Saving(_))
        {
            let mut lost = std::mem::take(&mut self.hit);
            lost.extend_from_slice(self.nodes.parts.doomed());
            lost.retain(|&part| self.nodes.parts.works(part));
            lost.sort_unstable();
            lost.dedup();
            let goes_on = (lost.len() as u32) < self.nodes.parts.n_on();
            if goes_on {
                for &part in &lost {
                    self.nodes.parts.leave(part);
                }
                self.run_s = self.run_now_s();
                self.enter(State::Stalled(self.now_s + replicas.stall_s));
            }
            self.hit = lost;
            if goes_on {
                return;
            }
        }
        // All of them restart.
        self.nodes.parts.take_leaving();
        let run_s = self.run_now_s();
        if self.keeps_log {
            let end = if is_far {
                StretchEnd::Far
            } else {
                StretchEnd::Near
            };
            self.stretches.push((run_s, end));
        }
        self.work
            .stop(run_s, if is_far { Stop::Far } else { Stop::Near });
        self.is_far = is_far;
        self.swaps = false;
        self.run_s = 0.0;
        let detection_s = failures.hang_s() + self.fleet.recovery.detection_s;
        self.enter(State::Detecting(self.now_s + detection_s));
    }

    /// A failure while the job is down already.
    fn fail_again(&mut self, is_of_whole: bool, is_far: bool) {
        if is_far && !self.is_far {
            self.is_far = true;
            self.work.lose_local();
        }
        let begins_again = match self.state {
            State::Detecting(_) => true,
            State::Restarting(_) => is_of_whole,
            _ => false,
        };
        if begins_again {
            self.enter(State::Detecting(
                self.now_s + self.fleet.recovery.detection_s,
            ));
        }
    }

    /// Restarts with what there is, or waits for a repair.
    fn restart(&mut self) {
        let recovery = &self.fleet.recovery;
        self.swaps |= self.nodes.assign(false);
        if self.is_blocked() {
            if self.state != State::Waiting {
                self.enter(State::Waiting);
            }
            return;
        }
        let restart_s = if self.is_far {
            recovery.global_restart_s
        } else {
            recovery.restart_s
        };
        let swap_s = if self.swaps { recovery.swap_s } else { 0.0 };
        self.enter(State::Restarting(self.now_s + restart_s + swap_s));
        // Parts that come back take part in the restart.
        self.join_all();
    }

    /// What the job did has come to its end; returns whether the run has, too.
    fn state_ends(&mut self) -> bool {
        match self.state {
            State::Running if self.done_s <= self.now_s => {
                self.hours.is_done = true;
                return true;
            }
            State::Running => {
                self.join_s = f64::INFINITY;
                self.name_held();
                self.nodes.switch_on();
                self.run_on();
            }
            State::Stalled(_) => {
                self.name_held();
                self.nodes.switch_off_leaving();
                self.nodes.assign(true);
                self.rejoin_later();
                self.run_on();
            }
            State::Detecting(_) => self.restart(),
            // What has broken without taking a rank is replaced first.
            State::Restarting(_) if self.is_blocked() => self.restart(),
            State::Restarting(_) => {
                if self.n_interruptions >= self.until.interruptions {
                    return true;
                }
                self.run();
            }
            State::Saving(_) => {
                if self.keeps_log {
                    self.stretches.push((self.run_s, StretchEnd::Saved));
                }
                self.work.stop(self.run_s, Stop::Saved);
                self.run_s = 0.0;
                self.is_far = false;
                self.restart();
            }
            State::Waiting => {}
        }
        false
    }

    /// A unit has been repaired, or a part joins again.
    fn timer(&mut self) {
        let Some(Reverse((bits, kind, unit, number))) = self.timers.pop() else {
            return;
        };
        if kind == NONE {
            self.rejoin(unit, number);
        } else {
            let failures = &self.fleet.failures[kind as usize];
            self.nodes.repair(kind as usize, failures, unit);
            let clock_s = self.clock_s();
            self.clocks[kind as usize].renew(unit, number, clock_s);
            self.has_repaired = true;
        }
        let next = self.timers.peek();
        if next.is_some_and(|Reverse((next, ..))| *next == bits) {
            // All that comes back at a time is there before anybody acts on it.
            return;
        }
        if std::mem::take(&mut self.has_repaired) {
            match self.state {
                State::Waiting => self.restart(),
                State::Running => self.look_after_others(),
                _ => {}
            }
        }
    }

    /// Does what can be done, while the job runs, for parts that it goes on without.
    fn look_after_others(&mut self) {
        if self.nodes.parts.all_are_on() {
            return;
        }
        self.nodes.assign(true);
        if self.fleet.recovery.replicas.is_some() {
            self.rejoin_later();
        } else {
            self.regrow();
        }
    }

    /// Lets parts that are whole again join later, each after its own restart.
    fn rejoin_later(&mut self) {
        let Some(replicas) = self.fleet.recovery.replicas else {
            return;
        };
        if !self.nodes.parts.has_ready() {
            return;
        }
        for part in self.nodes.parts.take_ready() {
            self.last_ticket = self.last_ticket.wrapping_add(1);
            self.returning.retain(|other| other.part != part);
            self.returning.push(Returning {
                part,
                ticket: self.last_ticket,
                n_breaks: self.nodes.parts.n_breaks(part),
            });
            let at = (self.now_s + replicas.rejoin_s).to_bits();
            self.timers
                .push(Reverse((at, NONE, part, self.last_ticket)));
        }
    }

    /// A part joins again, unless it has failed or joined meanwhile.
    fn rejoin(&mut self, part: u32, ticket: u32) {
        let of_timer = |one: &Returning| one.part == part && one.ticket == ticket;
        let Some(index) = self.returning.iter().position(of_timer) else {
            return;
        };
        let one = self.returning.swap_remove(index);
        if one.n_breaks != self.nodes.parts.n_breaks(part) {
            return;
        }
        match self.state {
            State::Running => {
                self.name_held();
                if self.nodes.switch_on_part(part) {
                    self.run_on();
                }
            }
            State::Stalled(_) => {
                self.name_held();
                self.nodes.switch_on_part(part);
            }
            // It joins with all others.
            _ => self.returning.push(one),
        }
    }

    /// Lets parts that are whole again come back, as the job does that.
    fn regrow(&mut self) {
        if !self.nodes.parts.has_ready() {
            return;
        }
        let run_s = self.run_now_s();
        match (self.fleet.recovery.regrow, &self.fleet.checkpoints) {
            // Without checkpoints a restart would lose all.
            (_, None) => {}
            (Regrow::Checkpoint, Some(_)) => {
                if self.join_s == f64::INFINITY
                    && let Some(next_s) = self.work.next_checkpoint_s(run_s)
                {
                    self.join_s = self.now_s + (next_s - run_s).max(0.0);
                }
            }
            (Regrow::Restart, Some(_)) => {
                self.hours.regrows += 1;
                self.save();
                self.swaps = false;
            }
        }
    }

    /// Saves the state of the job, which runs, and restarts it then.
    fn save(&mut self) {
        self.run_s = self.run_now_s();
        let save_s = self.work.save_s(self.run_s);
        self.enter(State::Saving(self.now_s + save_s));
    }

    /// Adds everything up.
    fn finish(mut self) -> Fates {
        let run_s = self.run_now_s();
        self.name_held();
        self.work.stop(run_s, Stop::Over);
        if self.keeps_log && matches!(self.state, State::Running | State::Stalled(_)) {
            self.stretches.push((run_s, StretchEnd::Saved));
        }
        for pool in 0..self.named.len() {
            let mut seconds = self.named[pool].map(|sum| sum.total());
            seconds[Name::Kept as usize] = self.work.kept[pool].total();
            seconds[Name::Redone as usize] = self.work.redone[pool].total();
            seconds[Name::Checkpoint as usize] += self.work.checkpoint[pool].total();
            for (name, duty) in [
                (Name::Spare, Duty::Spare),
                (Name::Leftover, Duty::Leftover),
                (Name::Repair, Duty::Repair),
                (Name::CutOff, Duty::CutOff),
            ] {
                seconds[name as usize] = self.nodes.seconds(pool, duty);
            }
            self.hours.seconds.push(seconds);
            let down_seconds = self.nodes.down_seconds(pool);
            self.hours.down_seconds.push(down_seconds);
        }
        self.hours.end_s = self.now_s;
        Fates {
            hours: self.hours,
            events: self.events,
            stretches: self.stretches,
        }
    }
}
