//! What a camera's thread does: queue → ledger → decoder → plugins → ledger → sink.

mod changes;
mod decoding;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use rdkafka::message::{BorrowedMessage, Message};

use super::analysis::Analysis;
use super::orders::{Order, SwapEvent};
use super::output::Output;
use super::received::{Received, keyframe_header};
use super::{CameraError, NAP};
use crate::config::{CameraSpec, Framing, Mode, Rate};
use crate::decode::{Decoder, Gate, Passage};
use crate::ledger::{Ledger, MOST_WAITING, Seq};
use crate::memories::Desk;
use crate::outcome::{FailReason, Outcome, SkipReason, Status};
use crate::packet::{self, Content, Inspection, Splitter, Unit};
use crate::sink::{Progress, Sink};
use crate::source::CameraQueue;
use crate::stats::CameraStats;
use crate::tenant::{Seat, Tenant, Turn};

/// Input offsets that may be missing without pictures being lost: the marker behind a transaction.
const HARMLESS_GAP: i64 = 1;

/// What a camera keeps when its input changes.
pub(super) struct Carried {
    pub spec: Arc<CameraSpec>,
    pub tenant: Arc<Tenant>,
    pub seat: Arc<Seat>,
    pub analysis: Analysis,
    pub paused: bool,
    /// The number of the next record.
    pub next_seq: Seq,
    pub stats: Arc<CameraStats>,
    pub memories: Arc<Desk>,
}

/// Why a pipeline ended without an error.
pub(super) enum Exit {
    /// It was told to stop.
    Stopped,
    /// Its records come from somewhere else from now on.
    OtherInput((CameraQueue, Arc<Progress>), Box<Carried>),
}

/// The camera's thread's state. Records borrow from the queue, so that none is copied.
pub(super) struct Pipeline<'q> {
    spec: Arc<CameraSpec>,
    tenant: Arc<Tenant>,
    /// Its claim to a core.
    seat: Arc<Seat>,
    queue: &'q CameraQueue,
    output: Output<'q>,
    stats: Arc<CameraStats>,
    memories: Arc<Desk>,

    ledger: Ledger<Received<'q>>,
    splitter: Option<Splitter>,
    gate: Gate,
    decoder: Decoder,
    analysis: Analysis,
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
        sink: &'q Sink,
        progress: Arc<Progress>,
        stop: &'q AtomicBool,
    ) -> Result<Self, CameraError> {
        let Carried { spec, tenant, seat, analysis, paused, next_seq, stats, memories } = carried;
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
            gate: Gate::new(lag_limit(&spec)),
            decoder: Decoder::open(spec.codec, spec.decode_threads)?,
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
    pub fn run(mut self, orders: &mpsc::Receiver<Order>) -> Result<Exit, CameraError> {
        while !self.output.stop.load(Ordering::Acquire) {
            while let Ok(order) = orders.try_recv() {
                if let Some(input) = self.obey(order)? {
                    return Ok(Exit::OtherInput(input, Box::new(self.carry())));
                }
            }
            self.cut_if_possible();
            if let Some(message) = self.queue.poll() {
                self.take(message)?;
                self.name_cut();
                self.emit_settled()?;
                // Time in which the output pushed back is no silence.
                self.last_arrival = Instant::now();
            } else if self.is_silent() {
                self.drain_silent_camera();
                self.emit_settled()?;
            } else {
                self.analysis.tick();
                self.output.check()?;
                std::thread::park_timeout(NAP.min(self.spec.drain_after));
            }
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

    // === from the queue into the decoder ===

    fn take(&mut self, message: BorrowedMessage<'q>) -> Result<(), CameraError> {
        let offset = message.offset();
        if self.next_offset.is_some_and(|next| offset > next + HARMLESS_GAP) {
            self.end_stream_in_turn();
        }
        self.next_offset = Some(offset + 1);
        if offset < self.output_from {
            let _turn = self.turn();
            self.take_silently(&message);
            return Ok(());
        }
        if let Some(from) = self.refill_from {
            match self.content_after_silence(&message) {
                // What is no video changes nothing.
                None if self.splitter.is_none() => {}
                Some(Content::KeyPicture) => self.refill_from = None,
                _ => {
                    self.refill_from = None;
                    self.next_offset = None;
                    self.output_from = offset;
                    return self.queue.seek(from).map_err(CameraError::Input);
                }
            }
        }
        let behind = self.queue.behind(offset);
        self.stats.record_received(i64::try_from(behind).unwrap_or(i64::MAX));
        let _turn = self.turn();
        match self.spec.framing {
            Framing::Packet => {
                self.take_packet(message, behind);
                if self.ledger.len() > MOST_WAITING {
                    // Records without pictures would queue up behind one that waits for the next.
                    self.drain_silent_camera();
                }
            }
            Framing::Bytestream => self.take_chunk(message, behind),
        }
        Ok(())
    }

    fn take_packet(&mut self, message: BorrowedMessage<'q>, behind: u64) {
        let inspection = self.inspect(&message, message.payload().unwrap_or_default());
        let mut received = Received::new(message);
        if let Some(Inspection { content: Content::KeyPicture, .. }) = inspection {
            received.keyframe = true;
            self.gop_start = Some(received.message.offset());
        }
        received.gop_start = self.gop_start;
        if let Some(outcome) = self.unanalysed() {
            self.ledger.admit_settled(received, outcome);
            return;
        }
        let Some(inspection) = inspection else {
            self.ledger.admit_settled(received, Outcome::failed(FailReason::NotVideo));
            return;
        };
        if let Some(reason) = self.pass_gate(inspection.content, behind) {
            self.ledger.admit_settled(received, Outcome::skipped(reason));
            return;
        }
        if inspection.content == Content::NoPicture {
            let data = received.message.payload().unwrap_or_default();
            self.decoder.send_without_picture(data, inspection.length_prefixed);
            self.receive_pictures();
            self.ledger.admit_settled(received, Outcome::skipped(SkipReason::NoPicture));
            return;
        }
        received.discontinuity = std::mem::take(&mut self.discontinuity);
        let seq = self.ledger.admit_unit(received);
        self.decode_record(seq, inspection);
    }

    fn take_chunk(&mut self, message: BorrowedMessage<'q>, behind: u64) {
        let mut received = Received::new(message);
        received.gop_start = self.gop_start;
        if let Some(outcome) = self.unanalysed() {
            self.ledger.admit_settled(received, outcome);
            return;
        }
        let seq = self.ledger.admit_chunk(received);
        let Some(splitter) = &mut self.splitter else { return };
        let chunk = self.ledger.record(seq).and_then(|record| record.message.payload());
        for unit in splitter.push(Some(seq), chunk.unwrap_or_default()) {
            self.take_unit(&unit, behind);
        }
        let Some(splitter) = &self.splitter else { return };
        if splitter.is_lost() {
            self.end_stream();
        } else if let Some(open) = splitter.earliest_open() {
            self.ledger.seal_before(open);
        }
    }

    /// Waits until a core is to be had, where one is needed.
    fn turn(&self) -> Option<Turn> {
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

    /// An access unit that the splitter found; it begins in the record `unit.seq`.
    fn take_unit(&mut self, unit: &Unit, behind: u64) {
        let Some(seq) = unit.seq else { return self.feed_silently(&unit.data) };
        self.ledger.seal_before(seq);
        let Some(inspection) = packet::inspect(self.spec.codec, &unit.data) else {
            self.ledger.unit_begins(seq);
            self.ledger.settle(seq, Outcome::failed(FailReason::NotVideo));
            return;
        };
        let keyframe = inspection.content == Content::KeyPicture;
        if let Some(record) = self.ledger.record_mut(seq)
            && keyframe
        {
            record.keyframe = true;
            self.gop_start = Some(record.message.offset());
            record.gop_start = self.gop_start;
        }
        // The gate may empty the decoder, which settles what has begun before.
        let skipped = self.pass_gate(inspection.content, behind);
        self.ledger.unit_begins(seq);
        if let Some(reason) = skipped {
            self.ledger.settle(seq, Outcome::skipped(reason));
            return;
        }
        if inspection.content == Content::NoPicture {
            self.decoder.send_without_picture(&unit.data, inspection.length_prefixed);
            self.receive_pictures();
            self.ledger.settle(seq, Outcome::skipped(SkipReason::NoPicture));
            return;
        }
        let discontinuity = std::mem::take(&mut self.discontinuity);
        if let Some(record) = self.ledger.record_mut(seq) {
            record.discontinuity |= discontinuity;
        }
        self.decode(Some(seq), &unit.data, inspection);
    }

    /// Records that were output by an earlier run, or before a silence, only fill the decoder.
    fn take_silently(&mut self, message: &BorrowedMessage<'q>) {
        if self.unanalysed().is_some() {
            return;
        }
        let payload = message.payload().unwrap_or_default();
        match &mut self.splitter {
            None => {
                if self.inspect(message, payload).map(|i| i.content) == Some(Content::KeyPicture) {
                    self.gop_start = Some(message.offset());
                }
                self.feed_silently(payload);
            }
            Some(splitter) => {
                self.gop_start.get_or_insert(message.offset());
                for unit in splitter.push(None, payload) {
                    self.feed_silently(&unit.data);
                }
            }
        }
    }

    fn feed_silently(&mut self, data: &[u8]) {
        let Some(inspection) = packet::inspect(self.spec.codec, data) else { return };
        if inspection.content == Content::NoPicture {
            self.decoder.send_without_picture(data, inspection.length_prefixed);
        } else if self.pass_gate(inspection.content, 0).is_none() {
            self.decode(None, data, inspection);
            // The pictures before the next record were analysed, only not by this run.
            self.discontinuity = false;
        }
    }

    fn inspect(&self, message: &BorrowedMessage<'_>, data: &[u8]) -> Option<Inspection> {
        let mut inspection = packet::inspect(self.spec.codec, data)?;
        if inspection.content == Content::Unknown {
            inspection.content = match keyframe_header(message.headers()) {
                Some(true) => Content::KeyPicture,
                Some(false) => Content::Picture,
                None => Content::Unknown,
            };
        }
        Some(inspection)
    }

    /// Asks rate and gate whether an access unit is decoded; if not, why.
    fn pass_gate(&mut self, content: Content, behind: u64) -> Option<SkipReason> {
        if self.spec.rate == Rate::Keyframes && content == Content::Picture {
            return Some(SkipReason::Rate);
        }
        let was_running = self.gate.is_running();
        if !self.tenant.may_decode(Instant::now()) && content != Content::NoPicture {
            if was_running {
                // What the decoder holds is paid for.
                self.start_afresh();
            }
            return Some(SkipReason::Quota);
        }
        match self.gate.judge(content, behind) {
            Passage::Decode => None,
            Passage::DecodeAfresh => {
                self.empty_decoder();
                self.discontinuity = true;
                None
            }
            Passage::Skip(reason) => {
                if was_running {
                    // What the decoder holds is as late as this record.
                    self.decoder.restart();
                    self.ledger.settle_waiting(&Outcome::skipped(reason));
                }
                Some(reason)
            }
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
            self.take_unit(&unit, 0);
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
        while let Some((seq, record, outcome)) = self.ledger.pop_settled() {
            self.output.emit(seq, &record, &outcome)?;
        }
        Ok(())
    }
}

fn lag_limit(spec: &CameraSpec) -> Option<u64> {
    match spec.mode {
        Mode::Live => Some(u64::from(spec.max_offset_diff)),
        Mode::EveryFrame => None,
    }
}

pub(super) fn splitter(spec: &CameraSpec) -> Result<Option<Splitter>, CameraError> {
    match spec.framing {
        Framing::Packet => Ok(None),
        Framing::Bytestream => Splitter::new(spec.codec).map(Some).ok_or(CameraError::NoParser),
    }
}
