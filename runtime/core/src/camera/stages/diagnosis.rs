//! Says why nothing is analysed, when records come all the same: a camera that nothing can be made
//! of would else look as well as any other.
//!
//! It looks at the camera's counters now and then, so it costs nothing per record.

use std::time::{Duration, Instant};

use crate::record::{FailReason, SkipReason};
use crate::stats::{CameraCounts, CameraStats};
use crate::video::packet::{Codec, looks_like};

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often it may see that records came and none was analysed: longer than from one key frame to
/// the next, of most cameras.
const PATIENCE: u32 = 5;
/// The same where key frames alone are analysed: there are cameras that send one in ten seconds.
const PATIENCE_FOR_KEYS: u32 = 30;
/// So few records may be bad luck.
const FEW: u64 = 20;

/// See the module.
pub(crate) struct Diagnosis {
    looked: Instant,
    before: CameraCounts,
    /// How often records had come of which none was analysed, and what the counters were before.
    unanalysed: Option<(u32, CameraCounts)>,
    is_told: bool,
    evidence: Evidence,
}

/// What was noticed of records that were not analysed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Evidence {
    /// What one of them looks like that is not of the camera's codec.
    looks_like: Option<&'static str>,
    /// How many of them were a picture without its beginning.
    headless: u64,
    /// A place was there from which the stream is refreshed gradually.
    has_refresh: bool,
}

/// What is known of the camera when it is looked at.
pub(crate) struct Known {
    pub codec: Codec,
    pub has_parameter_sets: bool,
    /// Key frames alone are to be analysed.
    pub wants_keys: bool,
}

impl Diagnosis {
    pub fn new(stats: &CameraStats, now: Instant) -> Self {
        Self {
            looked: now,
            before: stats.counts(),
            unanalysed: None,
            is_told: false,
            evidence: Evidence::default(),
        }
    }

    /// A record is not of the camera's codec.
    pub fn is_other(&mut self, data: &[u8]) {
        if self.evidence.looks_like.is_none() {
            self.evidence.looks_like = looks_like(data);
        }
    }

    /// A record holds a picture without its beginning.
    pub fn is_headless(&mut self) {
        self.evidence.headless += 1;
    }

    /// A record holds a place from which the stream is refreshed gradually.
    pub fn is_refresh_point(&mut self) {
        self.evidence.has_refresh = true;
    }

    /// Looks at the counters, if it is time to. Gives what is wrong when that is news;
    /// `Some(None)`: nothing any more.
    pub fn look(
        &mut self,
        stats: &CameraStats,
        now: Instant,
        known: impl FnOnce() -> Known,
    ) -> Option<Option<String>> {
        if now.duration_since(self.looked) < INTERVAL {
            return None;
        }
        self.looked = now;
        let counts = stats.counts();
        let before = std::mem::replace(&mut self.before, counts.clone());
        let went_well =
            counts.analysed > before.analysed || counts.passthrough > before.passthrough;
        if went_well {
            self.unanalysed = None;
            self.evidence = Evidence::default();
            return std::mem::take(&mut self.is_told).then_some(None);
        }
        // A silence tells nothing.
        if counts.settled() == before.settled() || self.is_told {
            return None;
        }
        let (looks, first) = self.unanalysed.get_or_insert((0, before));
        *looks += 1;
        let known = known();
        if *looks < if known.wants_keys { PATIENCE_FOR_KEYS } else { PATIENCE } {
            return None;
        }
        let cause = cause(first, &counts, self.evidence, &known)?;
        self.is_told = true;
        Some(Some(cause))
    }
}

/// What is the most likely cause, by what became of the records between two looks. `None`: too few
/// came, or they were left out on purpose.
fn cause(
    first: &CameraCounts,
    last: &CameraCounts,
    evidence: Evidence,
    known: &Known,
) -> Option<String> {
    let skipped = |reason: SkipReason| {
        let of = |counts: &CameraCounts| counts.skipped.get(reason.word()).copied().unwrap_or(0);
        of(last) - of(first)
    };
    let failed = |reason: FailReason| {
        let of = |counts: &CameraCounts| counts.failed.get(reason.word()).copied().unwrap_or(0);
        of(last) - of(first)
    };
    let other = failed(FailReason::NotVideo);
    let several = failed(FailReason::SeveralPictures);
    let broken = failed(FailReason::DecodeError);
    let too_large = failed(FailReason::TooLarge);
    // Behind, it is left out on purpose. A camera that has caught up waits for a key frame.
    let lagged = if last.lag <= 1 { skipped(SkipReason::Lag) } else { 0 };
    let waiting = skipped(SkipReason::NoKeyframe) + lagged;
    let rate = skipped(SkipReason::Rate);
    let empty = skipped(SkipReason::NoPicture);
    if other + several + too_large + broken + waiting + empty < FEW
        && !(known.wants_keys && rate >= FEW)
    {
        return None;
    }
    let codec = known.codec.title();
    let most = other.max(broken).max(waiting).max(empty).max(rate);
    Some(if too_large > most {
        "its pictures are larger than `frame_pixels` of the tenant's quota, or the host's, allows; \
         raise that, or have the camera send smaller ones"
            .to_owned()
    } else if most == other {
        match evidence.looks_like {
            Some(looks) => format!("records are not {codec}; they look like {looks}"),
            None => format!("records are not {codec}; set `codec` to what they are"),
        }
    } else if several > 0 {
        "records hold more than one picture each; `framing = \"bytestream\"` takes them apart"
            .to_owned()
    } else if evidence.headless * 2 > broken + waiting {
        "records begin in the middle of a picture: they seem to be single slices; `framing = \
         \"bytestream\"` puts them together"
            .to_owned()
    } else if most == rate {
        let refresh = if evidence.has_refresh { ": it is refreshed gradually" } else { "" };
        format!(
            "the stream has no key frame{refresh}, and `rate = \"keyframes\"` analyses nothing \
             else; set `rate` to a number of frames per second"
        )
    } else if !known.has_parameter_sets && known.codec.has_parameter_sets() {
        format!(
            "no parameter sets of {codec} have come, without which no picture can be decoded; have \
             the camera, or whoever publishes, send them with each key frame"
        )
    } else if most == broken {
        format!("no record could be decoded as {codec}; check `codec` and `framing`")
    } else if most == empty {
        "records hold no picture; check what is published".to_owned()
    } else {
        "no key frame has come, at which decoding could begin; have the camera send one every few \
         seconds"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Status;

    const NO_KEY: Status = Status::Skipped(SkipReason::NoKeyframe);
    const OTHER: Status = Status::Failed(FailReason::NotVideo);

    fn known() -> Known {
        let codec = Codec::from_name("h264").unwrap();
        Known { codec, has_parameter_sets: true, wants_keys: false }
    }

    /// A camera to which, second by second, so many records with such an end come; what is said.
    fn said(seconds: &[(u64, Status)], tell: impl Fn(&mut Diagnosis)) -> Vec<Option<String>> {
        let (stats, begin) = (CameraStats::default(), Instant::now());
        let mut diagnosis = Diagnosis::new(&stats, begin);
        let mut said = Vec::new();
        for (second, (records, status)) in (1..).zip(seconds) {
            (0..*records).for_each(|_| stats.record_settled(*status));
            tell(&mut diagnosis);
            let now = begin + Duration::from_secs(second);
            said.extend(diagnosis.look(&stats, now, known));
        }
        said
    }

    #[test]
    fn it_says_once_why_nothing_is_analysed_and_when_that_is_over() {
        let seconds = [(25, NO_KEY); 20];
        let [Some(cause)] = &said(&seconds, |_| {})[..] else { panic!("one cause") };
        assert!(cause.contains("no key frame"), "{cause}");
        let over = [&seconds[..], &[(25, Status::Analysed)]].concat();
        assert_eq!(said(&over, |_| {}).last(), Some(&None));
    }

    #[test]
    fn a_camera_that_is_silent_pauses_or_waits_for_a_short_while_is_not_complained_of() {
        assert_eq!(said(&[(0, NO_KEY); 20], |_| {}), []);
        let late = [&[(0, NO_KEY); 60][..], &[(25, NO_KEY); 3]].concat();
        assert_eq!(said(&late, |_| {}), [], "silent for a minute, then joined in the middle");
        assert_eq!(said(&[(1, NO_KEY); 10], |_| {}), [], "too few to tell");
        assert_eq!(said(&[(25, Status::Skipped(SkipReason::Paused)); 20], |_| {}), []);
        assert_eq!(said(&[(25, Status::Failed(FailReason::PluginTrap)); 20], |_| {}), []);
        let sometimes = [(25, NO_KEY), (25, NO_KEY), (25, NO_KEY), (1, Status::Analysed)].repeat(5);
        assert_eq!(said(&sometimes, |_| {}), []);
    }

    #[test]
    fn a_camera_that_has_caught_up_and_finds_no_key_frame_is_told_of() {
        let lagged = [(25, Status::Skipped(SkipReason::Lag)); 20];
        let told = said(&lagged, |_| {});
        assert!(told[0].as_ref().unwrap().contains("no key frame"), "{told:?}");
        let stats = CameraStats::default();
        stats.record_received(400);
        let counts = stats.counts();
        (0..400).for_each(|_| stats.record_settled(Status::Skipped(SkipReason::Lag)));
        let cause = cause(&counts, &stats.counts(), Evidence::default(), &known());
        assert_eq!(cause, None, "it is behind");
    }

    #[test]
    fn what_the_records_look_like_is_named() {
        let vps = [0, 0, 0, 1, 0x40, 1, 0x0c, 1];
        let [Some(cause)] = &said(&[(25, OTHER); 10], |it| it.is_other(&vps))[..] else {
            panic!("one cause")
        };
        assert!(cause.contains("look like H.265"), "{cause}");
        let large = said(&[(25, Status::Failed(FailReason::TooLarge)); 10], |_| {});
        assert!(large[0].as_ref().unwrap().contains("frame_pixels"), "{large:?}");
        let slices = said(&[(25, NO_KEY); 10], |it| (0..20).for_each(|_| it.is_headless()));
        assert!(slices[0].as_ref().unwrap().contains("bytestream"), "{slices:?}");
    }
}
