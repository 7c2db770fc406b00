//! Requests that queue for servers.

use hindmost_core::queue::{Arrivals, Group, Pace, Prefill, Queue, Routing, Served, serve};
use numpy::{IntoPyArray, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::convert::{choose, freeze};
use crate::errors::OrRaise;
use crate::laws::LawArgument;
use crate::watch::watch;

/// Servers that are alike, as a dictionary.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct GroupArgument<'py> {
    n_servers: u32,
    a_s: f64,
    b_s: f64,
    /// By number in service, instead of the two above: seconds of a pass, and of a token of context.
    by_number: Option<PyReadonlyArray2<'py, f64>>,
    prefill: [f64; 3],
    cap: Option<u32>,
}

impl GroupArgument<'_> {
    fn to_group(&self) -> PyResult<Group> {
        let pace = match &self.by_number {
            None => Pace::linear(self.a_s, self.b_s),
            Some(by_number) => {
                let rows = by_number.as_array();
                Pace::of_numbers(
                    rows.rows()
                        .into_iter()
                        .map(|row| [row[0], row[1]])
                        .collect(),
                )
            }
        };
        let [fixed_s, token_s, square_s] = self.prefill;
        Ok(Group {
            n_servers: self.n_servers,
            pace: pace.or_raise()?,
            prefill: Prefill {
                fixed_s,
                token_s,
                square_s,
            },
            cap: self.cap,
        })
    }
}

/// Servers and their requests, as a dictionary.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct QueueArgument<'py> {
    arrivals_per_s: f64,
    arrivals_variation: f64,
    /// Seconds at which requests come, instead of the two above.
    arrivals_s: Option<PyReadonlyArray1<'py, f64>>,
    input: Option<LawArgument>,
    output: LawArgument,
    /// Tokens of prompts and answers by request, instead of the two laws.
    known: Option<PyReadonlyArray2<'py, f64>>,
    groups: Vec<GroupArgument<'py>>,
    routing: String,
}

impl QueueArgument<'_> {
    fn to_queue(&self) -> PyResult<Queue> {
        let arrivals = match &self.arrivals_s {
            None => Arrivals::renewal(self.arrivals_per_s, self.arrivals_variation),
            Some(seconds) => Arrivals::at(seconds.as_array().to_vec()),
        };
        let known = self.known.as_ref().map(|known| {
            let rows = known.as_array();
            rows.rows()
                .into_iter()
                .map(|row| [row[0], row[1]])
                .collect()
        });
        let groups = self.groups.iter().map(GroupArgument::to_group);
        Ok(Queue {
            arrivals: arrivals.or_raise()?,
            input: self.input.as_ref().map(|law| law.drawn().clone()),
            output: self.output.drawn().clone(),
            known,
            groups: groups.collect::<PyResult<_>>()?,
            routing: choose("routing", &self.routing, &Routing::NAMES, &Routing::ALL)?,
        })
    }
}

/// Lets requests come to servers in some runs, and returns a dictionary of columns for each run.
#[pyfunction]
#[pyo3(signature = (queue, *, seed, runs, requests, threads, progress=None))]
pub fn queue_runs<'py>(
    py: Python<'py>,
    queue: QueueArgument<'py>,
    seed: u64,
    runs: u32,
    requests: u32,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let queue = queue.to_queue()?;
    let served = watch(py, threads, progress, |control| {
        serve(&queue, seed, runs, requests, control)
    })?;
    served.into_iter().map(|run| columns(py, run)).collect()
}

fn columns(py: Python<'_>, served: Served) -> PyResult<Bound<'_, PyDict>> {
    let columns = PyDict::new(py);
    let numbers = [
        ("at_s", served.at_s),
        ("wait_s", served.wait_s),
        ("first_s", served.first_s),
        ("response_s", served.response_s),
        ("output", served.output),
    ];
    for (name, values) in numbers {
        columns.set_item(name, freeze(values.into_pyarray(py)))?;
    }
    columns.set_item("found", freeze(served.found.into_pyarray(py)))?;
    columns.set_item("group", freeze(served.group.into_pyarray(py)))?;
    columns.set_item("counted", served.counted)?;
    columns.set_item("mean_number", served.mean_number)?;
    Ok(columns)
}
