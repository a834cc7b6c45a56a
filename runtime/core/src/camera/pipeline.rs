//! What a camera's thread does: queue → ledger → decoder → plugins → ledger → sink.

mod decode;
mod decode_threads;
mod intake;
mod reconfigure;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rdkafka::message::{BorrowedMessage, Message};

use super::commands::{Command, SwapEvent};
use super::input_record::InputRecord;
use super::plugin_chain::PluginChain;
use crate::camera::stages::DecodeLoad;
use crate::camera::stages::Discard;
use crate::camera::stages::Output;
use crate::camera::stages::{Linger, linger};
use crate::camera::{CameraError, NAP};
use crate::config::{CameraSpec, Framing, Mode};
use crate::kafka::CameraQueue;
use crate::kafka::{Checkpoint, PacketSink};
use crate::record::{Ledger, Seq};
use crate::record::{Outcome, SkipReason, Status};
use crate::sched::{CoreClaim, CorePermit, cpu_time};
use crate::snapshots::SnapshotQueue;
use crate::stats::CameraStats;
use crate::tenancy::Tenant;
use crate::video::decode::{Decoder, Gate, LagLimits, Lateness};
use crate::video::packet::{Content, Splitter};

/// What a camera keeps when its input changes.
pub(crate) struct Carried {
    pub spec: Arc<CameraSpec>,
    pub tenant: Arc<Tenant>,
    pub seat: Arc<CoreClaim>,
    pub analysis: PluginChain,
    pub paused: bool,
    /// The number of the next record.
    pub next_seq: Seq,
    pub stats: Arc<CameraStats>,
    pub memories: Arc<SnapshotQueue>,
}

/// Why a pipeline ended without an error.
pub(crate) enum Exit {
    /// It was told to stop.
    Stopped,
    /// Its records come from somewhere else from now on.
    OtherInput((CameraQueue, Arc<Checkpoint>), Box<Carried>),
}

/// The camera's thread's state. Records borrow from the queue, so that none is copied.
pub(crate) struct Pipeline<'q> {
    spec: Arc<CameraSpec>,
    tenant: Arc<Tenant>,
    /// Its claim to a core.
    seat: Arc<CoreClaim>,
    queue: &'q CameraQueue,
    output: Output<'q>,
    stats: Arc<CameraStats>,
    memories: Arc<SnapshotQueue>,

    ledger: Ledger<InputRecord<'q>>,
    splitter: Option<Splitter>,
    gate: Gate,
    thinning: Discard,
    /// Of H.265: the highest temporal sub-layer that any parameter set spoke of.
    highest_sub_layer: Option<u8>,
    decoder: Decoder,
    load: DecodeLoad,
    bunch: Linger,
    /// CPU time in nanoseconds that its thread had used when the load was judged last, …
    cpu_before: u64,
    /// … and what the decoder's own threads have used since.
    helpers_cpu: Duration,
    analysis: PluginChain,
    paused: bool,

    /// Records before this offset were output already; they are decoded silently.
    output_from: i64,
    next_offset: Option<i64>,
    /// The latest key frame that was received.
    gop_start: Option<i64>,
    /// The decoder was emptied because the camera was silent: pictures that go on in the same GOP
    /// need it filled again from this offset on.
    refill_from: Option<i64>,
    /// The next picture of the decoder is the first after a gap.
    discontinuity: bool,
    /// libavcodec reported damage: what comes next can't be trusted.
    damaged: bool,
    /// The latest key frame that entered the decoder: damage before it ends there.
    latest_key: Seq,
    /// Pictures of records in this range need one that is damaged.
    distrusted: Range<Seq>,
    /// No picture of a record from here on has been analysed.
    analysed_before: Seq,
    /// The first record of a new chain, until it is there to be named.
    unnamed_cut: Option<(Seq, tokio::sync::mpsc::UnboundedSender<SwapEvent>)>,
    last_arrival: Instant,
    last_memory: Instant,
}

impl<'q> Pipeline<'q> {
    pub fn new(
        carried: Carried,
        queue: &'q CameraQueue,
        sink: &'q PacketSink,
        progress: Arc<Checkpoint>,
        stop: &'q AtomicBool,
    ) -> Result<Self, CameraError> {
        let Carried { spec, tenant, seat, analysis, paused, next_seq, stats, memories } = carried;
        seat.reserve(1);
        stats.record_decode_threads(0);
        Ok(Self {
            queue,
            output: Output {
                sink,
                topic: spec.produce_topic.clone(),
                progress,
                tenant: Arc::clone(&tenant),
                stop,
                stats: Arc::clone(&stats),
            },
            tenant,
            seat,
            stats,
            memories,
            ledger: Ledger::beginning_with(next_seq),
            splitter: splitter(&spec)?,
            gate: Gate::new(lag_limits(&spec)),
            thinning: Discard::new(spec.rate),
            highest_sub_layer: None,
            decoder: spec.decoder(),
            load: DecodeLoad::new(Instant::now()),
            bunch: Linger::new(Instant::now()),
            cpu_before: cpu_time::of_this_thread(),
            helpers_cpu: Duration::ZERO,
            analysis,
            paused,
            output_from: queue.output_from,
            next_offset: None,
            gop_start: None,
            refill_from: None,
            discontinuity: true,
            damaged: false,
            latest_key: 0,
            distrusted: 0..0,
            analysed_before: next_seq,
            unnamed_cut: None,
            last_arrival: Instant::now(),
            last_memory: Instant::now(),
            spec,
        })
    }

    /// Runs until told to stop; then gives out what it has, and waits for the acknowledgements.
    pub fn run(mut self, orders: &mpsc::Receiver<Command>) -> Result<Exit, CameraError> {
        while !self.output.stop.load(Ordering::Acquire) {
            while let Ok(order) = orders.try_recv() {
                // Whatever changes, what is settled belongs to the time before.
                self.emit_settled()?;
                if let Some(input) = self.obey(order)? {
                    return Ok(Exit::OtherInput(input, Box::new(self.carry())));
                }
            }
            self.cut_if_possible();
            if let Some(message) = self.queue.poll() {
                let begin = Instant::now();
                self.take(message)?;
                let end = Instant::now();
                self.load.worked(end - begin);
                self.name_cut();
                let leaving = self.bunch.leaving(self.ledger.ready(linger::MOST), end);
                self.emit(leaving)?;
                // Time in which the output pushed back is no silence.
                self.last_arrival = Instant::now();
            } else {
                self.emit_settled()?;
                if self.bunch.all_leave() {
                    self.last_arrival = Instant::now();
                } else if self.is_silent() {
                    self.drain_silent_camera();
                    self.emit_settled()?;
                } else {
                    self.analysis.tick();
                    self.output.check()?;
                    std::thread::park_timeout(NAP.min(self.spec.drain_after));
                }
            }
            self.watch_load();
            self.remember();
        }
        // An access unit whose end has not come stays unacknowledged, and is consumed again.
        let turn = self.turn();
        self.empty_decoder();
        drop(turn);
        self.emit_settled()?;
        self.output.finish()?;
        // What has not proved itself does not run after a restart, and must not be remembered.
        self.analysis.give_up_trial();
        self.remember_now();
        Ok(Exit::Stopped)
    }

    /// Waits until a core is to be had, where one is needed.
    fn turn(&self) -> Option<CorePermit> {
        self.unanalysed().is_none().then(|| self.seat.take())
    }

    /// What becomes of records while nothing is analysed.
    fn unanalysed(&self) -> Option<Outcome> {
        if self.paused {
            Some(Outcome::skipped(SkipReason::Paused))
        } else if self.analysis.is_empty() {
            Some(Outcome::bare(Status::Passthrough))
        } else {
            None
        }
    }

    // === when nothing follows ===

    fn is_silent(&self) -> bool {
        !self.ledger.is_empty() && self.last_arrival.elapsed() >= self.spec.drain_after
    }

    /// No record came for a while: pictures that wait for the next ones to come are given out.
    fn drain_silent_camera(&mut self) {
        let was_running = self.gate.is_running();
        self.end_stream_in_turn();
        if self.spec.mode == Mode::EveryFrame && was_running {
            self.refill_from = self.gop_start;
        }
    }

    /// Nothing of the stream will be continued: what is inside comes out as far as it goes.
    fn end_stream(&mut self) {
        if let Some(unit) = self.splitter.as_mut().and_then(Splitter::finish) {
            self.take_unit(&unit, Lateness::default());
        }
        self.start_afresh();
        self.ledger.seal_before(self.ledger.next_seq());
    }

    /// As [`Self::end_stream`], for those who have not taken a turn yet.
    fn end_stream_in_turn(&mut self) {
        let _turn = self.turn();
        self.end_stream();
    }

    /// What the first record after a silence holds, as far as one can tell before it is cut.
    fn content_after_silence(&self, message: &BorrowedMessage<'_>) -> Option<Content> {
        match self.splitter {
            Some(_) => None,
            None => self
                .inspect(message, message.payload().unwrap_or_default())
                .map(|inspection| inspection.content),
        }
    }

    // === from the ledger into the sink ===

    fn emit_settled(&mut self) -> Result<(), CameraError> {
        self.emit(usize::MAX)
    }

    fn emit(&mut self, most: usize) -> Result<(), CameraError> {
        for _ in 0..most {
            let Some((seq, record, outcome)) = self.ledger.pop_settled() else { break };
            self.output.emit(seq, &record, &outcome)?;
        }
        Ok(())
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

pub(crate) fn splitter(spec: &CameraSpec) -> Result<Option<Splitter>, CameraError> {
    match spec.framing {
        Framing::Packet => Ok(None),
        Framing::Bytestream => Splitter::new(spec.codec).map(Some).ok_or(CameraError::NoParser),
    }
}
