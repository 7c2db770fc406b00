//! Drawing steps: the bulk at once, and ranks that rare causes hit one by one.

mod members;
mod rare;
mod slow;

pub use members::{Members, Origin, Scratch};
