//! A plugin for tests that reports a hash of the luma of each frame, so that a single wrong sample
//! shows.

use comux_sdk::prelude::*;

struct Fingerprint;

impl Plugin for Fingerprint {
    type Config = NoConfig;
    const HEADERS: &'static [&'static str] = &["fingerprint.luma"];

    fn new(_: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Headers, PluginError> {
        let luma = frame.read(View::gray8())?;
        let hash = fnv1a(luma.rows().flatten());
        Ok(Headers::new().text("fingerprint.luma", format_args!("{hash:016x}")))
    }
}

/// FNV-1a of 64 bits: draft-eastlake-fnv, section 2.
fn fnv1a<'a>(bytes: impl Iterator<Item = &'a u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

comux_sdk::export!(Fingerprint);

#[cfg(test)]
mod tests {
    use super::*;
    use comux_sdk::testing::{TestFrame, analyse};

    #[test]
    fn a_sample_makes_a_difference() {
        // The test vector of one byte, "a", in the draft's appendix.
        assert_eq!(fnv1a([b'a'].iter()), 0xaf63_dc4c_8601_ec8c);
        let of = |corner: u8| {
            let card = TestFrame::gray(8, 8, |x, y| if x + y == 0 { corner } else { 9 });
            analyse(&mut Fingerprint, &card.frame())
                .unwrap()
                .get("fingerprint.luma")
                .unwrap()
                .to_owned()
        };
        assert_eq!(of(9), of(9));
        assert_ne!(of(9), of(10));
    }
}
