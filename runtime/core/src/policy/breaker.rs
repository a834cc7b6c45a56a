//! When a plugin that keeps failing is left out, as people write it, and what a status says of it.

use super::overlay::overlaid;

overlaid! {
    /// When a plugin is left out, and for how long.
    BreakerSettings,
    /// [`BreakerSettings`] as they are written.
    BreakerTable:

    /// So many failures …
    failures = 5;
    /// … within so many seconds open the breaker. Five full deadlines of 200 ms in ten seconds are
    /// a tenth of the camera's time, and a plugin that trips over one odd frame is left alone.
    within_s = 10;
    /// Milliseconds for which it stays open at first, or up to a fifth less: long enough to be no
    /// burden, and short enough not to be noticed when a plugin just had a bad moment.
    backoff_ms = 1_000;
    /// Milliseconds for which it stays open at most. Somebody who has mended what the plugin
    /// stumbles over need not wait longer than a minute.
    max_backoff_ms = 60_000;
}

/// What the breaker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    /// The plugin is called.
    Closed,
    /// It is left out.
    Open,
    /// The next frame decides.
    Probing,
}
