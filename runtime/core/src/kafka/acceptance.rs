//! Which records a topic is sure to take.
//!
//! A broker refuses whole batches of records, and what was sent behind them it may have taken by
//! the time it says so. So records that it may refuse are sent alone, and this says which.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::settings::TopicSettings;

/// What Kafka's brokers take where nobody has set anything else.
const DEFAULT_MAX_BYTES: u64 = 1_048_588;
const DEFAULT_AFTER_MAX_MS: u64 = 3_600_000;

/// The bytes of a batch beside its records' own, and what a record takes at most beside its key,
/// value and headers ([message format](https://kafka.apache.org/documentation/#messageformat)).
const BATCH_OVERHEAD: u64 = 61;
const RECORD_OVERHEAD: u64 = 36;
/// The lengths of a header's name and value.
pub(super) const HEADER_OVERHEAD: usize = 10;

/// See the module. Read for each record, and written whenever the topic's settings are looked at.
#[derive(Debug)]
pub struct Acceptance {
    max_bytes: AtomicU64,
    after_max_ms: AtomicU64,
    before_max_ms: AtomicU64,
}

impl Default for Acceptance {
    fn default() -> Self {
        let new = Self {
            max_bytes: AtomicU64::default(),
            after_max_ms: AtomicU64::default(),
            before_max_ms: AtomicU64::default(),
        };
        new.set(&TopicSettings::default());
        new
    }
}

impl Acceptance {
    /// The topic is set to this.
    pub fn set(&self, settings: &TopicSettings) {
        self.max_bytes.store(settings.max_bytes.unwrap_or(DEFAULT_MAX_BYTES), Relaxed);
        let after = settings.after_max_ms.unwrap_or(DEFAULT_AFTER_MAX_MS);
        let before = settings.before_max_ms.unwrap_or(u64::MAX);
        let unbounded = settings.is_log_append_time;
        self.after_max_ms.store(if unbounded { u64::MAX } else { after }, Relaxed);
        self.before_max_ms.store(if unbounded { u64::MAX } else { before }, Relaxed);
    }

    /// The largest batch of records that it takes, in bytes.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes.load(Relaxed)
    }

    /// How far ahead of the broker's clock a timestamp may be, in milliseconds.
    #[must_use]
    pub fn after_max_ms(&self) -> u64 {
        self.after_max_ms.load(Relaxed)
    }

    /// How far behind the broker's clock a timestamp may be, in milliseconds.
    #[must_use]
    pub fn before_max_ms(&self) -> u64 {
        self.before_max_ms.load(Relaxed)
    }

    /// Whether a record with so many bytes of key, value and headers is small enough.
    #[must_use]
    pub fn takes_bytes(&self, bytes: usize) -> bool {
        batch_bytes(bytes) <= self.max_bytes()
    }

    /// Whether the topic might refuse a record with so many bytes of key, value and headers and
    /// this timestamp. Of what it allows in time, half is left for clocks that differ.
    #[must_use]
    pub fn may_refuse(&self, bytes: usize, timestamp_ms: Option<i64>, now_ms: i64) -> bool {
        if !self.takes_bytes(bytes) {
            return true;
        }
        let Some(timestamp) = timestamp_ms else { return false };
        let most = match timestamp > now_ms {
            true => self.after_max_ms(),
            false => self.before_max_ms(),
        };
        timestamp.abs_diff(now_ms) > most / 2
    }
}

/// How large a batch of this record alone may be.
pub(super) fn batch_bytes(bytes: usize) -> u64 {
    BATCH_OVERHEAD + RECORD_OVERHEAD + bytes as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_far_from_every_bound_is_sure_to_be_taken() {
        let acceptance = Acceptance::default();
        let now = 1_800_000_000_000;
        let may = |bytes, timestamp| acceptance.may_refuse(bytes, timestamp, now);
        assert!(!may(1_048_588 - 97, Some(now)) && may(1_048_588 - 96, Some(now)));
        assert!(!may(1, Some(0)) && !may(1, None), "no bound to the past by default");
        assert!(!may(1, Some(now + 1_800_000)) && may(1, Some(now + 1_800_001)));
        acceptance.set(&TopicSettings {
            max_bytes: Some(1000),
            after_max_ms: Some(u64::MAX),
            before_max_ms: Some(60_000),
            ..TopicSettings::default()
        });
        let may = |bytes, timestamp| acceptance.may_refuse(bytes, timestamp, now);
        assert!(!may(900, Some(i64::MAX)) && may(904, Some(now)));
        assert!(!may(1, Some(now - 30_000)) && may(1, Some(now - 30_001)) && may(1, Some(0)));
        let settings = TopicSettings { is_log_append_time: true, ..TopicSettings::default() };
        acceptance.set(&settings);
        assert!(!acceptance.may_refuse(1, Some(i64::MAX), now), "the broker's time is taken");
    }
}
