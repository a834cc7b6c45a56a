//! The interfaces of `wit/` that the host offers, one file each.

mod frames;
mod log;
mod metrics;

pub(crate) use frames::link_shared;
pub(crate) use log::one_line;
pub use metrics::{Metric, MetricsBook, MetricsSnapshot};
