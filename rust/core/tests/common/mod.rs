//! What the tests share: laws to try, draws, plans and a second kernel.
//!
//! Every test file is a crate of its own and uses only a part of this.
#![allow(dead_code)]

pub mod curves;
pub mod draws;
pub mod laws;
pub mod plans;
pub mod replay;
pub mod slowest;
