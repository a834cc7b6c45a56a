//! A record's number, the order in which records leave, and the words for what became of each.
//!
//! Plain values and pure logic, without Kafka and without video; imports nothing else of this
//! crate.

mod ledger;
mod outcome;

pub use ledger::{Ledger, MAX_OVERTAKEN, MOST_WAITING, Seq};
pub use outcome::{FailReason, Outcome, ResultHeader, SkipReason, Status, Timing, header};
