//! What enters the decoder: first the rate has its say, then the tenant's quota, then the gate.
//!
//! It decides and does nothing: whoever asks empties the decoder where it says so.

use crate::camera::stages::discard::Discard;
use crate::camera::stages::rate::RateLimiter;
use crate::config::{CameraSpec, Mode, Rate};
use crate::record::{FailReason, SkipReason};
use crate::video::decode::{Gate, LagLimits, Lateness, Passage};
use crate::video::packet::{Content, Inspection};

/// Decides of one camera's access units.
pub(crate) struct Admission {
    gate: Gate,
    discard: Discard,
    /// Of H.265: the highest temporal sub-layer that any parameter set spoke of.
    highest_sub_layer: Option<u8>,
    /// Frames are missing before the next one.
    follows_gap: bool,
}

/// What is to be done with an access unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is decoded.
    Decode,
    /// It is decoded; what came before has to leave the decoder first.
    DecodeAfresh,
    /// It is decoded for the sake of later frames; its own is skipped, for this reason.
    Fill(SkipReason),
    /// Likewise, and what came before has to leave the decoder first.
    FillAfresh(SkipReason),
    /// It can't come out right, for this reason. Frames before it are right, those behind it only
    /// if it spares them.
    Broken { reason: FailReason, spares_others: bool },
    /// It is skipped, for this reason.
    Skip(SkipReason),
    /// The same, and what the decoder holds shares its fate.
    SkipAll(SkipReason),
    /// It is skipped, and what the decoder holds is given out: it is paid for.
    SkipBeyondQuota,
}

impl Admission {
    pub fn new(spec: &CameraSpec, max_pixels: u64) -> Self {
        Self {
            gate: Gate::new(lag_limits(spec)).at_most(max_pixels),
            discard: Discard::new(spec.rate),
            highest_sub_layer: None,
            follows_gap: true,
        }
    }

    /// Another stream begins.
    pub fn begin_stream(&mut self) {
        self.highest_sub_layer = None;
        self.follows_gap = true;
    }

    /// How often frames are wanted from here on.
    pub fn set_rate(&mut self, rate: Rate) {
        if self.only_keys() {
            // The decoder was emptied behind each key frame: others have nothing to build on.
            self.gate.shut();
        }
        self.discard = Discard::new(rate);
    }

    /// How late a frame may be from here on.
    pub fn set_lag_limits(&mut self, spec: &CameraSpec) {
        self.gate.set_lag_limits(lag_limits(spec));
    }

    /// Whether nothing but key frames is decoded, each on its own.
    pub fn only_keys(&self) -> bool {
        self.discard.only_keys()
    }

    /// Whether frames are decoded, so that the next access unit may build on them.
    pub fn is_running(&self) -> bool {
        self.gate.is_running()
    }

    /// Whether what is decoded can't come out right yet.
    pub fn is_refreshing(&self) -> bool {
        self.gate.is_refreshing()
    }

    /// Nothing is decoded up to the next key frame.
    pub fn shut(&mut self) {
        self.gate.shut();
    }

    /// What was let pass since has been decoded again, and another gate stands behind it.
    pub fn go_on_behind(&mut self, gate: &Gate) {
        self.gate.go_on_behind(gate);
    }

    /// Frames are missing before the next one.
    pub fn note_gap(&mut self) {
        self.follows_gap = true;
    }

    /// An access unit enters the decoder: whether frames are missing before it. None are before the
    /// next.
    pub fn take_gap(&mut self) -> bool {
        std::mem::take(&mut self.follows_gap)
    }

    /// An access unit comes, recorded at `time_us` if it is to be analysed at all. Gives what it
    /// holds by what is known of the stream, and whether nothing but key frames is decoded from it
    /// on.
    pub fn unit_comes(
        &mut self,
        inspection: Inspection,
        time_us: Option<i64>,
        rate_limiter: Option<&RateLimiter>,
    ) -> (Inspection, bool) {
        self.highest_sub_layer = self.highest_sub_layer.max(inspection.highest_sub_layer);
        let inspection = inspection.among(self.highest_sub_layer);
        let took_all = !self.only_keys();
        if let Some(time_us) = time_us
            && inspection.content == Content::KeyPicture
        {
            self.discard.key_frame(time_us, rate_limiter);
        }
        (inspection, took_all && self.only_keys())
    }

    /// Whether the access unit that has come is decoded. `may_decode`: whether the tenant may; it
    /// is asked only if that matters.
    pub fn judge(
        &mut self,
        inspection: Inspection,
        (time_us, late): (Option<i64>, Lateness),
        rate_limiter: Option<&RateLimiter>,
        may_decode: impl FnOnce() -> bool,
    ) -> Verdict {
        let is_left_out = self.discard.leaves_out(inspection, time_us, rate_limiter);
        if is_left_out && self.only_keys() {
            return Verdict::Skip(SkipReason::Rate);
        }
        let was_running = self.gate.is_running();
        if !may_decode() && inspection.content != Content::NoPicture {
            return if was_running {
                Verdict::SkipBeyondQuota
            } else {
                Verdict::Skip(SkipReason::Quota)
            };
        }
        match self.gate.judge(inspection, late) {
            Passage::Decode | Passage::Fill | Passage::Skip(SkipReason::Repeated)
                if is_left_out =>
            {
                Verdict::Skip(SkipReason::Rate)
            }
            Passage::Decode => Verdict::Decode,
            Passage::DecodeAfresh => Verdict::DecodeAfresh,
            Passage::Fill => Verdict::Fill(SkipReason::NoKeyframe),
            Passage::FillAfresh => Verdict::FillAfresh(SkipReason::NoKeyframe),
            Passage::Broken { reason, spares_others } => Verdict::Broken { reason, spares_others },
            Passage::Skip(reason) if was_running && !self.gate.is_running() => {
                Verdict::SkipAll(reason)
            }
            Passage::Skip(reason) => Verdict::Skip(reason),
        }
    }
}

fn lag_limits(spec: &CameraSpec) -> LagLimits {
    match spec.mode {
        Mode::Live => {
            LagLimits { behind: Some(u64::from(spec.max_offset_diff)), age: spec.max_age }
        }
        Mode::EveryFrame => LagLimits::default(),
    }
}
