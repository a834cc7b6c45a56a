//! What changes while a camera runs: its plugins between two pictures, the rest between two records.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::message::Message;

use crate::camera::CameraError;
use crate::camera::commands::{Change, Command, SwapEvent};
use crate::camera::pipeline::{Carried, Pipeline, lag_limits, splitter};
use crate::camera::stages::Discard;
use crate::kafka::CameraQueue;
use crate::kafka::Checkpoint;
use crate::policy::BreakerSettings;
use crate::snapshots::CameraSnapshots;

/// How often the state of plugins is kept: what a crash may cost.
const MEMORY_INTERVAL: Duration = Duration::from_secs(10);

impl Pipeline<'_> {
    /// Does as told. When the records come from somewhere else from now on: from where.
    pub(crate) fn obey(
        &mut self,
        order: Command,
    ) -> Result<Option<(CameraQueue, Arc<Checkpoint>)>, CameraError> {
        match order {
            Command::Swap(swap) => self.analysis.begin(swap),
            Command::Pause(paused, done) => {
                if paused && !self.paused {
                    self.end_stream_in_turn();
                }
                self.discontinuity |= self.paused && !paused;
                self.paused = paused;
                let _ = done.send(());
            }
            Command::Change(change) => return self.change(change),
        }
        Ok(None)
    }

    fn change(
        &mut self,
        Change { spec, input, done }: Change,
    ) -> Result<Option<(CameraQueue, Arc<Checkpoint>)>, CameraError> {
        let old = Arc::clone(&self.spec);
        if !old.decodes_as(&spec) || old.framing != spec.framing {
            match splitter(&spec) {
                Ok(splitter) => {
                    self.end_stream_in_turn();
                    (self.splitter, self.decoder) = (splitter, spec.decoder());
                    self.seat.reserve(1);
                    self.stats.record_decode_threads(0);
                    self.load.begin_anew(Instant::now());
                    self.discontinuity = true;
                    self.refill_from = None;
                    self.highest_sub_layer = None;
                }
                Err(error) => {
                    let _ = done.send(Err(error));
                    return Ok(None);
                }
            }
        }
        if input.is_some() {
            self.end_stream_in_turn();
        }
        if input.is_some() || old.produce_topic != spec.produce_topic {
            // Acknowledgements of two topics come in any order, and offsets are committed by them.
            self.emit_settled()?;
            self.output.finish()?;
            self.output.topic.clone_from(&spec.produce_topic);
        }
        if old.rate != spec.rate {
            self.analysis.set_rate(spec.rate);
            if self.thinning.only_keys() {
                // The decoder was emptied behind each key frame: others have nothing to build on.
                self.gate.shut();
            }
            self.thinning = Discard::new(spec.rate);
        }
        self.gate.set_lag_limits(lag_limits(&spec));
        self.analysis.set_breakers(spec.breaker.within(BreakerSettings::default()));
        self.spec = spec;
        let _ = done.send(Ok(()));
        Ok(input)
    }

    /// What is kept when the input changes.
    pub(crate) fn carry(self) -> Carried {
        Carried {
            next_seq: self.ledger.next_seq(),
            spec: self.spec,
            tenant: self.tenant,
            seat: self.seat,
            analysis: self.analysis,
            paused: self.paused,
            stats: self.stats,
            memories: self.memories,
        }
    }

    // === new plugins ===

    /// Puts new plugins in place, if they wait and this is the place. With reordering, pictures
    /// come out in another order than their records: the place is where all records before it in
    /// the input also are before it in the order in which they are shown.
    pub(crate) fn cut_if_possible(&mut self) {
        if !self.analysis.wants_cut() {
            return;
        }
        if self.analysis.turns_on_or_off() {
            // What is being decoded still is the old plugins'; after it, nothing is in the way.
            self.end_stream_in_turn();
        }
        if self.ledger.is_settled_before(self.analysed_before) {
            // The plugins hand over their state.
            let _turn = self.seat.take();
            self.cut();
        }
    }

    /// As [`Self::cut_if_possible`], with a picture at hand that is not analysed yet.
    pub(crate) fn cut_before_picture(&mut self) {
        let possible = self.analysis.wants_cut()
            && !self.analysis.turns_on_or_off()
            && self.ledger.is_settled_before(self.analysed_before);
        if possible {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let seq = self.analysed_before.max(self.ledger.first_seq());
        if let Some(events) = self.analysis.cut(&self.seat) {
            self.unnamed_cut = Some((seq, events));
            self.name_cut();
            self.analysis.tick();
        }
    }

    /// Tells which record is the first of the new plugins, as soon as it is there.
    pub(crate) fn name_cut(&mut self) {
        let Some((seq, events)) = &self.unnamed_cut else { return };
        if let Some(record) = self.ledger.record(*seq) {
            let (seq, offset) = (*seq, record.message.offset());
            let _ = events.send(SwapEvent::Cut { seq, offset });
            self.unnamed_cut = None;
        }
    }

    // === the state of plugins ===

    /// Has the state of the plugins kept, from time to time.
    pub(crate) fn remember(&mut self) {
        if self.last_memory.elapsed() >= MEMORY_INTERVAL && !self.analysis.is_on_probation() {
            self.remember_now();
        }
    }

    pub(crate) fn remember_now(&mut self) {
        self.last_memory = Instant::now();
        if !self.analysis.has_memory() {
            return;
        }
        let turn = self.seat.take();
        let (of, plugins) = ((&*self.spec).into(), self.analysis.memory(&self.seat));
        drop(turn);
        // Without any, it would count as forgotten.
        if !plugins.is_empty() {
            self.memories.put(CameraSnapshots { of, plugins });
        }
    }
}
