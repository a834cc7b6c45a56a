//! What of a producer may be under way to a topic that does not know it yet.
//!
//! A broker takes a batch of an idempotent producer that it has not met on the partition whatever
//! the batch's sequence number. It refuses batches until a topic that was made a moment ago is
//! ready. If the first of several batches under way is refused and the second taken, the first has
//! no place any more: librdkafka (2.12 and 2.16) reports it as delivered and never sends it again.
//! So a first record goes alone.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// For so long after a record the topic is sure to know its producer. Kafka's brokers forget one
/// after a day (`producer.id.expiration.ms`).
const KNOWN_FOR: Duration = Duration::from_hours(1);

/// A producer and a topic of one partition.
#[derive(Debug, Default)]
pub struct Introduction {
    under_way: AtomicUsize,
    /// Until when the topic knows the producer, in milliseconds of [`now_ms`]; 0: it does not.
    known_until_ms: AtomicU64,
    answered: Notify,
}

impl Introduction {
    /// Whether a record may be sent now. Its [answer](Self::answered) is to be told.
    #[must_use]
    pub fn may_send(&self) -> bool {
        if now_ms() < self.known_until_ms.load(Ordering::Relaxed) {
            self.under_way.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let is_alone = self.under_way.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed);
        is_alone.is_ok()
    }

    /// Waits until a record may be sent. Its [answer](Self::answered) is to be told.
    pub async fn wait(&self) {
        loop {
            let answered = self.answered.notified();
            if self.may_send() {
                return;
            }
            answered.await;
        }
    }

    /// The broker has answered for a record, or it was not sent after all.
    pub fn answered(&self, is_taken: bool) {
        let now = now_ms();
        let was_known = now < self.known_until_ms.load(Ordering::Relaxed);
        if is_taken {
            let known_for = u64::try_from(KNOWN_FOR.as_millis()).unwrap_or(u64::MAX);
            self.known_until_ms.store(now + known_for, Ordering::Relaxed);
        }
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        // This is on the way of every record, and nobody waits for a topic that knows the producer.
        if !was_known {
            self.answered.notify_waiters();
        }
    }

    /// Another topic has taken the place of the one that knows the producer.
    pub fn forget(&self) {
        self.known_until_ms.store(0, Ordering::Relaxed);
    }
}

/// Milliseconds since this process first asked.
fn now_ms() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Introduction;

    #[test]
    fn nothing_else_is_under_way_until_a_record_was_taken() {
        let topic = Introduction::default();
        assert!(topic.may_send() && !topic.may_send() && !topic.may_send());
        topic.answered(false);
        assert!(topic.may_send() && !topic.may_send(), "the next is the first");
        topic.answered(true);
        assert!(topic.may_send() && topic.may_send());
        topic.forget();
        assert!(!topic.may_send(), "two are under way");
        topic.answered(false);
        assert!(!topic.may_send());
        topic.answered(false);
        assert!(topic.may_send() && !topic.may_send());
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_the_first_answer() {
        let topic = Arc::new(Introduction::default());
        topic.wait().await;
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let topic = Arc::clone(&topic);
                tokio::spawn(async move { topic.wait().await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(waiting.iter().all(|it| !it.is_finished()));
        topic.answered(true);
        for it in waiting {
            it.await.unwrap();
        }
    }
}
