//! Requests that queue for servers: what a serving cluster does under load.
//!
//! A server works on several requests at once and gives each of them the same number of tokens
//! in a time: one a pass. Between two events no number in service changes, so that the time of
//! all passes in between is one expression; there is an event for each request that comes and for
//! each that leaves, and none for a pass. A queue for several servers that take one request each, and
//! a server that divides itself among all of its requests, are special paces.

mod arrivals;
mod numbers;
mod pace;
mod routing;
mod served;
mod server;
mod walk;

pub use arrivals::Arrivals;
pub use pace::{Pace, Prefill};
pub use routing::Routing;
pub use served::Served;
pub use walk::{Group, Queue, serve};
