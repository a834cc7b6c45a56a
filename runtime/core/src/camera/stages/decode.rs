//! The decoder of one camera: what goes in and comes out, which of it can be trusted, what it
//! costs, and how many threads do it.
//!
//! It does not know what a frame is for, nor which access units are to be decoded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::damage::{Damage, Trust};
use super::decode_threads::ThreadAdvice;
use crate::config::{CameraSpec, Id};
use crate::record::Seq;
use crate::sched::CoreClaim;
use crate::stats::CameraStats;
use crate::tenancy::Tenant;
use crate::video::decode::{Decoded, Decoder, DecoderError, WasSent};
use crate::video::packet::Inspection;

/// From so long on it is looked how much of it the thread had a core: the kernel's clock of that
/// costs as much as to ask the decoder for a frame that is not there.
const LONG: Duration = Duration::from_micros(50);

/// See the module.
pub(crate) struct Decode {
    decoder: Decoder,
    damage: Damage,
    threads: ThreadAdvice,
    camera: Id,
    tenant: Arc<Tenant>,
    claim: Arc<CoreClaim>,
    stats: Arc<CameraStats>,
}

/// An access unit was given to the decoder.
pub(crate) struct Sent {
    /// Microseconds that it took.
    pub decode_us: u64,
    pub result: Result<(), DecoderError>,
}

impl Decode {
    pub fn new(
        spec: &CameraSpec,
        tenant: Arc<Tenant>,
        claim: Arc<CoreClaim>,
        stats: Arc<CameraStats>,
    ) -> Self {
        claim.reserve(1);
        stats.record_decode_threads(0);
        Self {
            decoder: spec.decoder().at_most(tenant.max_frame_pixels()),
            damage: Damage::default(),
            threads: ThreadAdvice::new(spec.decode_threads),
            camera: spec.id.clone(),
            tenant,
            claim,
            stats,
        }
    }

    /// Another decoder takes over; this one is empty.
    pub fn replace(&mut self, spec: &CameraSpec) {
        let sets = self.decoder.parameter_sets();
        self.decoder = spec.decoder().at_most(self.tenant.max_frame_pixels());
        // Those of another codec say nothing to it.
        self.decoder.learn(&sets.unwrap_or_default(), WasSent::No);
        self.claim.reserve(1);
        self.stats.record_decode_threads(0);
        self.threads.set(spec.decode_threads);
        self.threads.begin_anew();
    }

    /// Opens the decoder, unless it is open.
    pub fn open_if_needed(&mut self) -> Result<(), DecoderError> {
        if !self.decoder.is_open() {
            self.decoder.open_if_needed()?;
            self.stats.record_decode_threads(self.decoder.threads());
        }
        Ok(())
    }

    // === parameter sets ===

    /// Notes parameter sets that do not go into the decoder with a picture.
    pub fn learn(&mut self, data: &[u8]) {
        self.decoder.learn(data, WasSent::No);
    }

    /// Those that pictures need which an access unit does not bring along, in Annex B.
    pub fn parameter_sets_missing_in(&self, data: &[u8]) -> Option<Arc<[u8]>> {
        self.decoder.parameter_sets_missing_in(data)
    }

    /// Whether there are any.
    pub fn has_parameter_sets(&self) -> bool {
        self.decoder.parameter_sets().is_some()
    }

    // === frames ===

    /// Gives it the access unit of record `seq`; of no record, when only later frames need it.
    pub fn send(&mut self, seq: Option<Seq>, data: &[u8], inspection: Inspection) -> Sent {
        if let Some(frames) = inspection.reorders {
            self.decoder.expect_reordering(frames);
        }
        let begin = self.begin();
        let result = self.decoder.send(seq, data, inspection);
        // Those behind its slices are for the next one.
        if inspection.has_parameter_sets {
            self.decoder.learn(data, WasSent::Yes);
        }
        let decode_us = self.charge(begin);
        if let Some(seq) = seq {
            self.damage.enters(seq, inspection);
        }
        Sent { decode_us, result }
    }

    /// Gives it what holds no frame.
    pub fn send_without_frame(&mut self, data: &[u8], inspection: Inspection) {
        self.decoder.send_without_picture(data, inspection);
        if inspection.has_parameter_sets {
            self.decoder.learn(data, WasSent::Yes);
        }
    }

    /// It has refused an access unit, when that of record `sent` went in, if any. `oldest`: the
    /// record whose frame is inside longest. Gives the record whose access unit it was, as far as
    /// one can tell.
    pub fn refused(
        &mut self,
        (sent, oldest): (Option<Seq>, Option<Seq>),
        error: &DecoderError,
    ) -> Option<Seq> {
        let (camera, tenant) = (self.camera.as_str(), &*self.tenant.id);
        let refused = match self.decoder.delay() {
            Some(delay) if sent.is_some() => self.damage.entered_before(delay),
            _ => oldest,
        };
        tracing::debug!(camera, tenant, seq = refused, %error, "an access unit can't be decoded");
        self.damage.note_refused(refused);
        refused
    }

    /// The next frame that is ready, and how many microseconds that took.
    pub fn receive(&mut self) -> Result<Option<(Decoded, u64)>, DecoderError> {
        let begin = self.begin();
        let received = self.decoder.receive();
        let decode_us = self.charge(begin);
        let Some(decoded) = received? else { return Ok(None) };
        self.threads.frame_came();
        Ok(Some((decoded, decode_us)))
    }

    /// No more access units come: the frames inside come out next.
    pub fn finish(&mut self) {
        self.decoder.finish();
    }

    /// Drops the frames inside, behind [`Self::finish`] or not; a key frame comes next.
    pub fn restart(&mut self) {
        if self.damage.is_lost() {
            self.decoder.restart_after_damage();
        } else {
            self.decoder.restart();
        }
        self.damage.regain();
    }

    /// How often a frame may be overtaken and still come out.
    pub fn most_overtaken(&self) -> u32 {
        self.decoder.most_overtaken()
    }

    // === damage ===

    /// A frame has come out that is damaged; of no record: one that only later ones needed.
    pub fn note_damaged(&mut self, seq: Option<Seq>) {
        match seq {
            Some(seq) => self.damage.note_damaged(seq),
            None => self.damage.note_refused(None),
        }
    }

    /// Judges a frame that came out undamaged, once all that entered before it came out.
    pub fn judge(&self, seq: Seq) -> Trust {
        self.damage.judge(seq)
    }

    /// Whether frames can't be trusted until it has been emptied.
    pub fn is_lost(&self) -> bool {
        self.damage.is_lost()
    }

    /// From which record on all is to be decoded again, if it is lost.
    pub fn resumes_at(&self) -> Option<Seq> {
        self.damage.resumes_at()
    }

    // === load ===

    /// A record came, behind which so many wait.
    pub fn record_came(&mut self, behind: u64) {
        self.threads.record_came(behind);
    }

    /// The camera's thread had something to do for so long.
    pub fn worked(&mut self, took: Duration) {
        self.threads.worked(took);
    }

    /// Judges what the camera did lately, from time to time.
    pub fn watch_load(&mut self) {
        self.threads.watch(self.decoder.threads(), &self.claim);
    }

    /// Reserves as many threads as suit the load; `None`: as many as there are. `only_keys`: each
    /// frame is waited for.
    pub fn reserve_threads(&mut self, only_keys: bool) -> Option<usize> {
        if !self.threads.is_automatic() {
            return None;
        }
        let now = self.decoder.threads();
        let wanted = if only_keys || self.tenant.is_rationed() {
            // Frames that would come sooner are waited for one by one, or could not be paid for.
            1
        } else {
            self.threads.wanted(now, &self.claim)
        };
        if wanted == now || !self.decoder.can_reopen() {
            return None;
        }
        let threads = self.claim.reserve(wanted);
        (threads != now).then_some(threads)
    }

    /// So many threads decode from here on: it is empty, and a key frame comes next.
    pub fn reopen(&mut self, threads: usize) {
        let reopened = if self.claim.is_in_part(threads) {
            self.claim.promote();
            self.decoder.reopen(threads)
        } else {
            // Beyond its part is what nobody else wants now; before the next key frame, somebody
            // may.
            let decoder = &mut self.decoder;
            self.claim.demoted_while(|| decoder.reopen(threads))
        };
        let (camera, tenant, now) =
            (self.camera.as_str(), &*self.tenant.id, self.decoder.threads());
        match reopened {
            Ok(()) => tracing::debug!(camera, tenant, threads, "decodes with other threads"),
            Err(error) => {
                self.claim.reserve(now);
                tracing::warn!(camera, tenant, threads, now, %error, "goes on with as many threads");
            }
        }
        self.stats.record_decode_threads(now);
        self.threads.begin_anew();
    }

    // === cost ===

    /// Decoding begins: a long piece of work, which nobody else waits for.
    fn begin(&self) -> Instant {
        self.claim.demote();
        Instant::now()
    }

    /// Time went into decoding: how many microseconds.
    fn charge(&mut self, begin: Instant) -> u64 {
        self.claim.promote();
        let mut until = Instant::now();
        let mut cpu = until - begin;
        if cpu >= LONG {
            let spent = self.claim.charge();
            // What it was charged for goes back to before the decoder.
            (cpu, until) = (spent.cpu.min(spent.until - begin), spent.until);
        }
        let took = until - begin;
        let decode_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.stats.record_work(decode_us, 0);
        let helpers = self.decoder.workers_cpu().unwrap_or_else(|| {
            // They work while this thread waits for them; as much as they can in that time.
            let threads = u32::try_from(self.decoder.threads()).unwrap_or(u32::MAX);
            (took * threads).saturating_sub(cpu)
        });
        self.threads.decoded(took, helpers);
        if !helpers.is_zero() {
            self.claim.charge_helpers(helpers);
        }
        self.tenant.charge_decode(until, cpu + helpers);
        decode_us
    }
}
