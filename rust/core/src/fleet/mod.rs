//! The whole run of a job on a cluster whose units fail one by one.
//!
//! A unit is a GPU, a node, a domain, a rack, what lies below a switch, or the job itself. Each has
//! a clock that runs while the unit is up; a unit that has failed is repaired and new. Spares take
//! the places of nodes that are down; where there are none left, the job waits, or goes on without
//! some of its replicas. Every second of every GPU has one name ([`Name`]).

mod agenda;
mod clock;
mod fleet;
mod hours;
mod ledger;
mod nodes;
mod parts;
mod shape;
mod sum;
mod vacancies;
mod walk;
mod work;

pub use clock::{Ages, Kind, UnitFailures};
pub use fleet::{Exhausted, Fleet, Recovery, Regrow, Replicas};
pub use hours::{FailureEvent, Fates, Name, RunHours, Until};
pub use shape::FleetPool;
pub use walk::fates;
pub use work::{Stretch, StretchEnd, kept_seconds};
