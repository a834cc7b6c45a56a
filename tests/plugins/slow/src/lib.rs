//! A plugin for tests that takes its time: so many rounds of real work for each frame.

use comux_sdk::prelude::*;
use std::hint::black_box;

comux_sdk::config! {
    /// How slow it is.
    struct Config {
        /// Rounds of work per frame, each about a nanosecond.
        spin: u64 = 1_000_000,
    }
}

struct Slow {
    spin: u64,
}

/// Marsaglia's xorshift64: each round needs the one before, and no formula skips ahead.
fn spin(rounds: u64) -> u64 {
    let mut state = black_box(0x2545_f491_4f6c_dd1d_u64);
    for _ in 0..rounds {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    black_box(state)
}

impl Plugin for Slow {
    type Config = Config;
    const HEADERS: &'static [&'static str] = &["slow.spun"];

    fn new(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { spin: config.spin })
    }

    fn on_frame(&mut self, _frame: &Frame) -> Result<Headers, PluginError> {
        spin(self.spin);
        Ok(Headers::new().text("slow.spun", self.spin))
    }
}

comux_sdk::export!(Slow);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_rounds_end_elsewhere() {
        assert_ne!(spin(1000), spin(1001));
    }
}
