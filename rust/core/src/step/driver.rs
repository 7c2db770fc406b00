//! The one loop over runs and steps.

use super::columns::{Columns, Row, Rows, StepSeconds};
use super::expected::ExpectedTime;
use super::network::{Durations, QuadNetwork};
use super::other_network::{NetworkRows, OtherNetwork};
use super::runs::Runs;
use super::slowest::{Slowest, SlowestAndFrontiers};
use super::terms::{Terms, TermsBuffer, TermsRow};
use crate::control::Control;
use crate::error::{Error, Result};
use crate::plan::{Plan, SlowestPort, StepDuration};
use crate::random::Random;
use crate::room::filled;
use crate::simd::QUAD_STEPS;

/// A way to draw the steps of a plan.
pub trait Engine: Sync {
    /// The job in one run.
    type Run<'a>: Run
    where
        Self: 'a;

    /// Steps that one parallel task draws, a multiple of four.
    const STEPS_PER_TASK: usize;

    /// Whether runs are drawn side by side rather than one after the other. An
    /// engine whose runs hold a number for each rank draws one at a time, so that
    /// memory does not grow with threads.
    const RUNS_IN_PARALLEL: bool;

    /// Whether a step counts as one draw in the progress; an engine that counts
    /// its draws itself says no.
    const COUNTS_STEPS: bool;

    /// What is simulated.
    fn plan(&self) -> &Plan;

    /// Draws all that lasts longer than a step, in the first `n_steps` steps of a run.
    ///
    /// # Errors
    /// [`Error::Stopped`] once `control` asks for it.
    fn begin<'a>(
        &'a self,
        random: &'a Random,
        run: u32,
        n_steps: u32,
        control: &Control,
    ) -> Result<Self::Run<'a>>;
}

/// A job in one run.
pub trait Run: Sync {
    /// Buffers that a task reuses between its steps.
    type Scratch: Default;

    /// Expected times of the average rank, by pool.
    fn expected(&self) -> Vec<ExpectedTime>;

    /// The slowest replica in each of the first `n_steps` steps of a quad, by the
    /// durations of these steps; the others are of no meaning.
    ///
    /// # Errors
    /// [`Error::Stopped`] once `control` asks for it.
    fn slowest(
        &self,
        quad: u32,
        n_steps: usize,
        durations: &Durations,
        scratch: &mut Self::Scratch,
        control: &Control,
    ) -> Result<[Slowest; QUAD_STEPS]>;

    /// [`Run::slowest`], and the times by pool of the replicas of which no other computes and is
    /// stalled at least as long.
    ///
    /// # Errors
    /// [`Error::Stopped`] once `control` asks for it.
    fn slowest_and_frontiers(
        &self,
        quad: u32,
        n_steps: usize,
        durations: &Durations,
        scratch: &mut Self::Scratch,
        control: &Control,
    ) -> Result<SlowestAndFrontiers>;

    /// The greatest slowdown and the longest stall of the ports of each pool in the
    /// steps of a quad.
    ///
    /// # Errors
    /// [`Error::Stopped`] once `control` asks for it.
    fn slowest_ports(
        &self,
        quad: u32,
        scratch: &mut Self::Scratch,
        control: &Control,
    ) -> Result<Vec<[SlowestPort; QUAD_STEPS]>>;
}

/// Simulates `steps` steps of each of `runs` runs on the current rayon pool.
///
/// The rows depend on the plan, the engine and the seed only, not on the number of
/// threads: each step writes its own row.
///
/// # Errors
/// Those of [`check_size`]; [`Error::Memory`] where there is none for the rows;
/// [`Error::Stopped`] once `control` asks for it.
pub fn simulate<E: Engine>(
    engine: &E,
    seed: u64,
    runs: impl Into<Runs>,
    steps: u32,
    control: &Control,
) -> Result<Columns> {
    let runs = runs.into();
    check_size(runs, steps)?;
    let n_pools = engine.plan().pools().len();
    let mut columns = Columns::zeros(runs.count as usize, steps as usize, n_pools)?;
    let expected = draw_runs(
        engine,
        seed,
        runs,
        columns.rows(),
        &Lengths,
        |job| job.expected(),
        control,
    )?;
    columns.set_expected(engine.plan(), &expected.concat());
    columns.drop_what_cannot_be(engine.plan());
    Ok(columns)
}

/// Seconds of the steps of [`simulate`], and nothing else of them.
///
/// # Errors
/// As [`simulate`].
pub fn simulate_seconds<E: Engine>(
    engine: &E,
    seed: u64,
    runs: u32,
    steps: u32,
    control: &Control,
) -> Result<Vec<f64>> {
    check_size(runs, steps)?;
    let mut seconds = filled(0.0, runs as usize * steps as usize)?;
    let rows = StepSeconds(&mut seconds);
    draw_runs(engine, seed, runs.into(), rows, &Lengths, |_| (), control)?;
    Ok(seconds)
}

/// [`simulate`], and what each step is made of. The rows are the same.
///
/// # Errors
/// As [`simulate`].
pub fn simulate_with_terms<E: Engine>(
    engine: &E,
    seed: u64,
    runs: impl Into<Runs>,
    steps: u32,
    control: &Control,
) -> Result<(Columns, Terms)> {
    let runs = runs.into();
    check_size(runs, steps)?;
    let n_pools = engine.plan().pools().len();
    let n_terms = engine.plan().communication().terms.len();
    let n_ports = if n_terms == 0 { 0 } else { n_pools };
    let n_steps = runs.count as usize * steps as usize;
    let mut columns = Columns::zeros(runs.count as usize, steps as usize, n_pools)?;
    let mut terms = TermsBuffer::new(n_steps, n_ports, n_terms)?;
    let rows = (columns.rows(), terms.rows());
    let expected = draw_runs(
        engine,
        seed,
        runs,
        rows,
        &LengthsAndTerms,
        |job| job.expected(),
        control,
    )?;
    columns.set_expected(engine.plan(), &expected.concat());
    columns.drop_what_cannot_be(engine.plan());
    Ok((columns, terms.into_columns()?))
}

/// Seconds of the same steps with each of some other networks, as [`simulate`] gives them for a plan
/// with that network: the steps' ranks are drawn once, and the slowest is looked for again.
///
/// # Errors
/// As [`simulate`]; [`Error::Domain`] for networks that were drawn for other steps.
pub fn simulate_networks<E: Engine>(
    engine: &E,
    networks: &[OtherNetwork],
    seed: u64,
    runs: impl Into<Runs>,
    steps: u32,
    control: &Control,
) -> Result<Vec<Vec<f64>>> {
    let runs = runs.into();
    check_size(runs, steps)?;
    let n_steps = runs.count as usize * steps as usize;
    for network in networks {
        network.check(n_steps)?;
    }
    let mut columns = Vec::new();
    for _ in networks {
        columns.push(filled(0.0, n_steps)?);
    }
    let rows = NetworkRows::new(&mut columns, n_steps);
    let what = LengthsWithNetworks {
        networks,
        first_run: runs.first,
        steps: steps as usize,
    };
    draw_runs(engine, seed, runs, rows, &what, |_| (), control)?;
    Ok(columns)
}

/// Fills the rows of all runs, and returns what `finish` makes of each of them.
fn draw_runs<E: Engine, R: Rows, T: Send>(
    engine: &E,
    seed: u64,
    runs: Runs,
    rows: R,
    what: &impl Draw<Row = R::Row>,
    finish: impl Fn(&E::Run<'_>) -> T + Sync,
    control: &Control,
) -> Result<Vec<T>> {
    let plan = engine.plan();
    let random = Random::new(seed);
    let draw_run = |run: u32, rows: R| {
        let job = engine.begin(&random, run, rows.n_steps() as u32, control)?;
        let drawing = Drawing {
            plan,
            job: &job,
            random: &random,
            run,
            idle: vec![[StepDuration::COMPUTE_ALONE; QUAD_STEPS]; plan.pools().len()],
            control,
        };
        let draws_per_step = u64::from(E::COUNTS_STEPS);
        let tasks = Tasks {
            steps_per_task: E::STEPS_PER_TASK,
            draws_per_step,
            control,
        };
        tasks.fill(rows, |quad, n_steps, scratch| {
            what.draw(&drawing, quad, n_steps, scratch)
        })?;
        Ok(finish(&job))
    };
    fill_runs(rows, runs, E::RUNS_IN_PARALLEL, &draw_run)
}

/// Refuses sizes that no simulation has.
///
/// # Errors
/// [`Error::Domain`] for no runs or steps, or more runs than random addresses.
pub fn check_size(runs: impl Into<Runs>, steps: u32) -> Result<()> {
    runs.into().check()?;
    if steps == 0 {
        return Err(Error::domain("steps", 0.0, ">= 1"));
    }
    Ok(())
}

/// Divides rows among runs of equal length, has each filled, and returns
/// what `fill` returned, in the order of the runs.
///
/// # Errors
/// Those of `fill`.
pub fn fill_runs<R: Rows, T: Send>(
    rows: R,
    runs: impl Into<Runs>,
    in_parallel: bool,
    fill: &(impl Fn(u32, R) -> Result<T> + Sync),
) -> Result<Vec<T>> {
    let runs = runs.into();
    let mut results = Vec::new();
    results.resize_with(runs.count as usize, || None);
    fill_each_run(rows, runs.first, &mut results, in_parallel, fill)?;
    Ok(results.into_iter().flatten().collect())
}

fn fill_each_run<R: Rows, T: Send>(
    rows: R,
    first_run: u32,
    results: &mut [Option<T>],
    in_parallel: bool,
    fill: &(impl Fn(u32, R) -> Result<T> + Sync),
) -> Result<()> {
    if let [result] = results {
        *result = Some(fill(first_run, rows)?);
        return Ok(());
    }
    let half = results.len() / 2;
    let steps = rows.n_steps() / results.len();
    let (early, late) = rows.split_at(half * steps);
    let (early_results, late_results) = results.split_at_mut(half);
    let fill_early = || fill_each_run(early, first_run, early_results, in_parallel, fill);
    let next_run = first_run + half as u32;
    if in_parallel {
        let fill_late = || fill_each_run(late, next_run, late_results, in_parallel, fill);
        let (early, late) = rayon::join(fill_early, fill_late);
        early.and(late)
    } else {
        fill_early()?;
        fill_each_run(late, next_run, late_results, in_parallel, fill)
    }
}

/// How the rows of one run are divided among parallel tasks.
pub struct Tasks<'a> {
    /// Steps of a task, a multiple of four.
    pub steps_per_task: usize,
    /// Draws that the progress counts for each step, when its task is done.
    pub draws_per_step: u64,
    /// Where progress is counted and a stop is asked for.
    pub control: &'a Control,
}

impl Tasks<'_> {
    /// Fills rows with what `draw` returns for a quad's first so many steps; the
    /// steps of a task share a scratch.
    ///
    /// # Errors
    /// Those of `draw`; [`Error::Stopped`] once the control asks for it.
    pub fn fill<R: Rows, S: Default>(
        &self,
        rows: R,
        draw: impl Fn(u32, usize, &mut S) -> Result<[R::Row; QUAD_STEPS]> + Sync,
    ) -> Result<()> {
        self.fill_from(rows, 0, &draw)
    }

    fn fill_from<R: Rows, S: Default>(
        &self,
        mut rows: R,
        first_step: usize,
        draw: &(impl Fn(u32, usize, &mut S) -> Result<[R::Row; QUAD_STEPS]> + Sync),
    ) -> Result<()> {
        // Once a stop is asked for, no task begins to draw.
        self.control.advance(0)?;
        let n_tasks = rows.n_steps().div_ceil(self.steps_per_task);
        if n_tasks > 1 {
            let steps = n_tasks / 2 * self.steps_per_task;
            let (early, late) = rows.split_at(steps);
            let (early, late) = rayon::join(
                || self.fill_from(early, first_step, draw),
                || self.fill_from(late, first_step + steps, draw),
            );
            return early.and(late);
        }
        let mut scratch = S::default();
        let n_rows = rows.n_steps();
        for start in (0..n_rows).step_by(QUAD_STEPS) {
            let n_steps = QUAD_STEPS.min(n_rows - start);
            let quad = ((first_step + start) / QUAD_STEPS) as u32;
            let drawn = draw(quad, n_steps, &mut scratch)?;
            for (step, row) in drawn.into_iter().take(n_steps).enumerate() {
                rows.write(start + step, row);
            }
        }
        self.control.advance(n_rows as u64 * self.draws_per_step)
    }
}

/// A run whose steps are being drawn.
struct Drawing<'a, R> {
    plan: &'a Plan,
    job: &'a R,
    random: &'a Random,
    run: u32,
    /// Durations of steps without communication, by pool.
    idle: Vec<[StepDuration; QUAD_STEPS]>,
    control: &'a Control,
}

impl<R: Run> Drawing<'_, R> {
    /// Calls `find` with the network in the steps of a quad, if anything goes through it, and
    /// with how long steps take by who is the slowest.
    ///
    /// The network comes first: it decides how much compute hides, and so for whom a step waits.
    fn with_network<T>(
        &self,
        quad: u32,
        scratch: &mut R::Scratch,
        find: impl FnOnce(Option<QuadNetwork>, &Durations, &mut R::Scratch) -> Result<T>,
    ) -> Result<T> {
        if self.plan.communication().terms.is_empty() {
            return find(None, &self.idle, scratch);
        }
        let ports = self.job.slowest_ports(quad, scratch, self.control)?;
        let network = QuadNetwork::new(self.plan, ports, self.random, self.run, quad);
        let durations = network.durations();
        find(Some(network), &durations, scratch)
    }
}

/// What is drawn of the steps of a quad.
trait Draw: Sync {
    /// What one step gives.
    type Row;

    /// The first `n_steps` steps of a quad; the others are of no meaning.
    fn draw<R: Run>(
        &self,
        drawing: &Drawing<R>,
        quad: u32,
        n_steps: usize,
        scratch: &mut R::Scratch,
    ) -> Result<[Self::Row; QUAD_STEPS]>;
}

/// How long steps take.
struct Lengths;

impl Draw for Lengths {
    type Row = Row;

    fn draw<R: Run>(
        &self,
        drawing: &Drawing<R>,
        quad: u32,
        n_steps: usize,
        scratch: &mut R::Scratch,
    ) -> Result<[Row; QUAD_STEPS]> {
        let Drawing { job, control, .. } = *drawing;
        drawing.with_network(quad, scratch, |network, durations, scratch| {
            let slowest = job.slowest(quad, n_steps, durations, scratch, control)?;
            Ok(rows(&slowest, network.as_ref()))
        })
    }
}

/// How long steps take, and what they are made of.
struct LengthsAndTerms;

impl Draw for LengthsAndTerms {
    type Row = (Row, TermsRow);

    fn draw<R: Run>(
        &self,
        drawing: &Drawing<R>,
        quad: u32,
        n_steps: usize,
        scratch: &mut R::Scratch,
    ) -> Result<[Self::Row; QUAD_STEPS]> {
        let Drawing { job, control, .. } = *drawing;
        drawing.with_network(quad, scratch, |network, durations, scratch| {
            let (slowest, mut frontiers) =
                job.slowest_and_frontiers(quad, n_steps, durations, scratch, control)?;
            let rows = rows(&slowest, network.as_ref());
            let mut network =
                network.map_or_else(Default::default, QuadNetwork::into_ports_and_hops);
            Ok(std::array::from_fn(|step| {
                let (ports, hops) = std::mem::take(&mut network[step]);
                let terms = TermsRow {
                    frontier: std::mem::take(&mut frontiers[step]),
                    ports,
                    hops,
                };
                (rows[step], terms)
            }))
        })
    }
}

/// How long the same steps take with other networks.
struct LengthsWithNetworks<'n> {
    networks: &'n [OtherNetwork<'n>],
    first_run: u32,
    steps: usize,
}

impl Draw for LengthsWithNetworks<'_> {
    type Row = Vec<f64>;

    fn draw<R: Run>(
        &self,
        drawing: &Drawing<R>,
        quad: u32,
        n_steps: usize,
        scratch: &mut R::Scratch,
    ) -> Result<[Vec<f64>; QUAD_STEPS]> {
        let Drawing { job, control, .. } = *drawing;
        let (_, frontiers) =
            job.slowest_and_frontiers(quad, n_steps, &drawing.idle, scratch, control)?;
        let run = (drawing.run - self.first_run) as usize;
        let first = run * self.steps + quad as usize * QUAD_STEPS;
        Ok(std::array::from_fn(|step| {
            // Steps of the last quad that are none have no transfers either.
            let networks = self.networks.iter().take_while(|_| step < n_steps);
            networks
                .map(|network| network.step_s(first + step, &frontiers[step]))
                .collect()
        }))
    }
}

/// The one place where compute and network become a step.
fn rows(slowest: &[Slowest; QUAD_STEPS], network: Option<&QuadNetwork>) -> [Row; QUAD_STEPS] {
    std::array::from_fn(|step| Row {
        slowest: slowest[step],
        exposed_comm_s: network.map_or(0.0, |network| network.exposed_s(step, &slowest[step])),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::MAX_RUNS;

    /// Rows that remember who wrote them.
    struct Numbers<'a>(&'a mut [u32]);

    impl Rows for Numbers<'_> {
        type Row = u32;

        fn n_steps(&self) -> usize {
            self.0.len()
        }

        fn split_at(self, steps: usize) -> (Self, Self) {
            let (early, late) = self.0.split_at_mut(steps);
            (Numbers(early), Numbers(late))
        }

        fn write(&mut self, step: usize, row: u32) {
            self.0[step] = row;
        }
    }

    #[test]
    fn each_step_is_written_once_by_its_own_quad() {
        for (steps, steps_per_task) in [(1, 4), (4, 4), (9, 4), (4097, 4096), (1000, 8)] {
            let mut numbers = vec![u32::MAX; steps];
            let control = Control::default();
            let tasks = Tasks {
                steps_per_task,
                draws_per_step: 3,
                control: &control,
            };
            let drawn = |quad: u32, n_steps: usize, (): &mut ()| {
                assert!(n_steps == QUAD_STEPS || 4 * quad as usize + n_steps == steps);
                Ok(std::array::from_fn(|step| 4 * quad + step as u32))
            };
            tasks.fill(Numbers(&mut numbers), drawn).unwrap();
            let expected: Vec<u32> = (0..steps as u32).collect();
            assert_eq!(numbers, expected);
            assert_eq!(control.draws(), 3 * steps as u64);
        }
    }

    #[test]
    fn runs_fill_their_own_rows_and_give_results_in_order() {
        for (runs, in_parallel) in [(1, true), (2, false), (7, true), (16, false)] {
            let mut numbers = vec![0; runs as usize * 5];
            let fill = |run: u32, mut rows: Numbers| {
                assert_eq!(rows.n_steps(), 5);
                (0..5).for_each(|step| rows.write(step, 10 * run + step as u32));
                Ok(run)
            };
            let results = fill_runs(Numbers(&mut numbers), runs, in_parallel, &fill).unwrap();
            assert_eq!(results, (0..runs).collect::<Vec<_>>());
            let expected = (0..runs).flat_map(|run| (0..5).map(move |step| 10 * run + step));
            assert_eq!(numbers, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_stop_ends_tasks_and_runs() {
        let control = Control::default();
        control.stop();
        let tasks = Tasks {
            steps_per_task: 4,
            draws_per_step: 1,
            control: &control,
        };
        let mut numbers = vec![0; 64];
        let drawn = tasks.fill(Numbers(&mut numbers), |_, _, (): &mut ()| {
            Ok([0; QUAD_STEPS])
        });
        assert_eq!(drawn, Err(Error::Stopped));
        let refused = fill_runs(Numbers(&mut numbers), 4, true, &|run, _| match run {
            2 => Err(Error::Stopped),
            _ => Ok(()),
        });
        assert_eq!(refused, Err(Error::Stopped));
    }

    #[test]
    fn sizes_without_an_address_are_refused() {
        for (runs, steps, field) in [(0, 1, "runs"), (MAX_RUNS + 1, 1, "runs"), (1, 0, "steps")] {
            let refusal = check_size(runs, steps).unwrap_err().to_string();
            assert!(refusal.starts_with(field), "{refusal}");
        }
        assert_eq!(check_size(MAX_RUNS, u32::MAX), Ok(()));
    }
}
