//! A camera without Kafka: packets of a file take the very path of records, with the same plugins,
//! limits and outcomes, as fast as it goes. For who writes a plugin.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::analysis::{Analysis, Observed};
use super::frame_path::{FramePath, Latest};
use super::input_record::{Input, Progress};
use super::plugin_chain::PluginChain;
use super::stages::admission::Admission;
use super::stages::decode::Decode;
use crate::config::CameraSpec;
use crate::record::{FailReason, Ledger, MOST_WAITING, Outcome, ResultHeader, Seq};
use crate::sched::CoreClaim;
use crate::snapshots::{SnapshotKey, SnapshotQueue};
use crate::stats::CameraStats;
use crate::tenancy::Tenant;
use crate::video::decode::Lateness;
use crate::video::frame::Frame;
use crate::video::packet::{Content, Inspector};

/// A packet on its way.
struct FilePacket {
    data: Vec<u8>,
    recorded_at_us: Option<i64>,
    progress: Progress,
}

impl Input for FilePacket {
    fn payload(&self) -> &[u8] {
        &self.data
    }

    fn recorded_at_us(&self) -> Option<i64> {
        self.recorded_at_us
    }

    fn headers(&self) -> Vec<ResultHeader> {
        Vec::new()
    }

    fn source(&self) -> String {
        "a file".to_owned()
    }

    fn progress(&self) -> &Progress {
        &self.progress
    }

    fn progress_mut(&mut self) -> &mut Progress {
        &mut self.progress
    }
}

/// A packet, and what became of it.
pub struct Played {
    /// Its number, from 0.
    pub seq: Seq,
    /// When its frame is shown, in microseconds.
    pub pts_us: Option<i64>,
    /// It holds a key frame.
    pub keyframe: bool,
    /// As the headers of an output record say it.
    pub outcome: Outcome,
    /// The frame that plugins were called with.
    pub frame: Option<Arc<Frame>>,
    /// What they complained of: `name@version+sha256.…: what went wrong`.
    pub failures: Vec<String>,
}

/// See the module.
pub struct Playback {
    path: FramePath<FilePacket>,
    inspector: Inspector,
    claim: Arc<CoreClaim>,
    stats: Arc<CameraStats>,
    observed: BTreeMap<Seq, Observed>,
}

impl Playback {
    /// A camera with these plugins.
    #[must_use]
    pub fn new(spec: &CameraSpec, tenant: Arc<Tenant>, chain: PluginChain) -> Self {
        let (claim, stats) = (tenant.claim(), Arc::new(CameraStats::new(chain.meters())));
        let decode = Decode::new(spec, Arc::clone(&tenant), Arc::clone(&claim), Arc::clone(&stats));
        // Nobody takes what is put there: the state of plugins ends with the playback.
        let owner = (SnapshotKey::from(spec), Arc::<SnapshotQueue>::default());
        let of_camera = (Arc::clone(&tenant), Arc::clone(&claim), Arc::clone(&stats));
        let (tenant_of, claim_of, stats_of) = of_camera;
        let mut analysis = Analysis::new((chain, false), owner, tenant_of, claim_of, stats_of);
        analysis.observe();
        let path = FramePath {
            ledger: Ledger::default(),
            admission: Admission::new(spec, tenant.max_frame_pixels()),
            decode,
            analysis,
            tenant,
            latest: Latest::default(),
            held: VecDeque::new(),
        };
        let (inspector, observed) = (Inspector::new(spec.codec), BTreeMap::new());
        Self { path, inspector, claim, stats, observed }
    }

    /// The next packet: an access unit. `keyframe`: as its container says. `recorded_at_us`: the
    /// time by which a rate counts.
    ///
    /// # Errors
    /// When the decoder can't be opened.
    pub fn take(
        &mut self,
        data: Vec<u8>,
        (pts_us, recorded_at_us): (Option<i64>, Option<i64>),
        keyframe: bool,
    ) -> Result<(), super::CameraError> {
        self.path.decode.open_if_needed()?;
        let inspection = self.inspector.inspect(&data);
        let mut packet = FilePacket { data, recorded_at_us, progress: Progress::begin(pts_us) };
        self.stats.record_received(0);
        let permit = self.claim.take();
        match inspection {
            None => {
                let outcome = Outcome::failed(FailReason::NotVideo);
                self.path.ledger.admit_settled(packet, outcome);
            }
            Some(mut inspection) => {
                if inspection.content == Content::Unknown {
                    let content = if keyframe { Content::KeyPicture } else { Content::Picture };
                    inspection.content = content;
                }
                packet.progress.keyframe = inspection.content == Content::KeyPicture;
                self.path.take_record(packet, inspection, Lateness::default());
            }
        }
        if self.path.ledger.len() > MOST_WAITING {
            self.path.start_afresh();
        }
        drop(permit);
        Ok(())
    }

    /// No more packets: what is inside comes out.
    pub fn finish(&mut self) {
        let _permit = self.claim.take();
        self.path.empty_decoder();
    }

    /// The next packet whose fate is settled, in the order in which they came.
    pub fn next_played(&mut self) -> Option<Played> {
        let observed = self.path.analysis.take_observed();
        self.observed.extend(observed.into_iter().map(|observed| (observed.seq, observed)));
        let (seq, packet, outcome) = self.path.ledger.pop_settled()?;
        self.stats.record_settled(outcome.status);
        let (frame, failures) = match self.observed.remove(&seq) {
            Some(Observed { frame, failures, .. }) => (Some(frame), failures),
            None => (None, Vec::new()),
        };
        let Progress { pts_us, keyframe, .. } = packet.progress;
        Some(Played { seq, pts_us, keyframe, outcome, frame, failures })
    }

    /// What was counted, and what its plugins used.
    #[must_use]
    pub fn stats(&self) -> &CameraStats {
        &self.stats
    }
}
