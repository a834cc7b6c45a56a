//! Metrics in native tests: what the plugins of this thread have told.

use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    static TOLD: RefCell<Metrics> = RefCell::default();
}

/// Metrics as they were told, by name. See [`metrics`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    sums: BTreeMap<String, u64>,
    levels: BTreeMap<String, f64>,
    observations: BTreeMap<String, Vec<f64>>,
}

/// What was told through [`crate::metrics`] on this thread, and so in this test, by now.
#[must_use]
pub fn metrics() -> Metrics {
    TOLD.with_borrow(Metrics::clone)
}

impl Metrics {
    /// All that was added to a sum; 0 when there is none.
    #[must_use]
    pub fn sum(&self, name: &str) -> u64 {
        self.sums.get(name).copied().unwrap_or_default()
    }

    /// What was set last.
    #[must_use]
    pub fn level(&self, name: &str) -> Option<f64> {
        self.levels.get(name).copied()
    }

    /// All that was observed, in order.
    #[must_use]
    pub fn observations(&self, name: &str) -> &[f64] {
        self.observations.get(name).map_or(&[], Vec::as_slice)
    }
}

pub(crate) fn add(name: &str, amount: u64) {
    TOLD.with_borrow_mut(|told| {
        let sum = told.sums.entry(name.to_owned()).or_default();
        *sum = sum.saturating_add(amount);
    });
}

pub(crate) fn set(name: &str, value: f64) {
    TOLD.with_borrow_mut(|told| told.levels.insert(name.to_owned(), value));
}

pub(crate) fn observe(name: &str, value: f64) {
    TOLD.with_borrow_mut(|told| {
        told.observations.entry(name.to_owned()).or_default().push(value);
    });
}
