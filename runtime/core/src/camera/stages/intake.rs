//! The first stage: records from the queue, and what can be said of them before anything is
//! decoded.
//!
//! It knows where in its topic the camera is: whether records are missing, whether those that come
//! only fill the decoder, and from which key frame decoding could begin again. What is decoded it
//! leaves to [`super::admission`].

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rdkafka::message::{BorrowedMessage, Message};

use super::repeats::Repeats;
use crate::camera::error::CameraError;
use crate::camera::input_record::{InputRecord, age, keyframe_header};
use crate::config::{CameraSpec, Framing};
use crate::kafka::{CameraQueue, GopStart, Incarnation};
use crate::record::Seq;
use crate::video::decode::Lateness;
use crate::video::packet::{Codec, Content, Inspection, Inspector, Splitter, Unit};

/// Input offsets that may be missing without frames being lost: the marker behind a transaction.
const HARMLESS_GAP: i64 = 1;

/// So long the first record may take to come, once reading is to go on somewhere else.
const SEEK_PATIENCE: Duration = Duration::from_secs(5);
/// So often it is asked for before what comes is taken instead: the record may have been deleted.
const MOST_SEEKS: u32 = 5;

/// Where one camera's records come from.
pub(crate) struct Intake<'q> {
    queue: &'q CameraQueue,
    inspector: Inspector,
    repeats: Repeats,
    /// Of byte streams; a record of the other framing is one access unit.
    splitter: Option<Splitter>,
    reading: Reading,
    /// Reading is to go on there, and nothing has come yet.
    sought: Option<Sought>,
    next_offset: Option<i64>,
    /// When the next record was asked for although it should come by itself, and how often.
    asked_again: Option<(Instant, u32)>,
    /// The latest place at which decoding can begin, so that the next frame comes out right.
    gop_start: Option<Arc<GopStart>>,
    /// One that will be, once a frame at this [`Inspection::position`] has come.
    refresh: Option<(Arc<GopStart>, i64)>,
    /// How old a record may be; without it, nobody asks for the age of one.
    max_age: Option<Duration>,
    last_arrival: Instant,
}

/// The camera's first record behind a silence comes again, behind those from its key frame on.
#[derive(Debug, Clone, Copy)]
struct Sought {
    gop_start: i64,
    first: i64,
    since: Instant,
    times: u32,
}

/// What the records that come next are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Those before this offset were output already, and only fill the decoder.
    Filling { until: i64 },
    /// They are analysed and output.
    Following,
    /// The same, but the decoder was emptied because the camera was silent: frames that go on in
    /// the same GOP need it filled again from this offset on.
    Drained { gop_start: i64 },
}

/// What is to be done with the first record behind a silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterSilence {
    /// It is taken like any other.
    GoesOn,
    /// It comes again, behind those that fill the decoder.
    ComesAgain,
}

impl<'q> Intake<'q> {
    pub fn new(queue: &'q CameraQueue, spec: &CameraSpec) -> Result<Self, CameraError> {
        let mut inspector = Inspector::new(spec.codec);
        if let Some(sets) = &queue.parameter_sets {
            inspector.inspect(sets);
        }
        Ok(Self {
            queue,
            inspector,
            repeats: Repeats::of(spec.codec),
            splitter: splitter(spec)?,
            reading: Reading::Filling { until: queue.output_from },
            sought: None,
            next_offset: None,
            asked_again: None,
            gop_start: None,
            refresh: None,
            max_age: spec.max_age,
            last_arrival: Instant::now(),
        })
    }

    /// The records are of another codec or framing from here on.
    pub fn set_stream(&mut self, codec: Codec, splitter: Option<Splitter>) {
        (self.inspector, self.splitter) = (Inspector::new(codec), splitter);
        self.repeats = Repeats::of(codec);
        if let Reading::Drained { .. } = self.reading {
            self.reading = Reading::Following;
        }
    }

    /// How old a record may be from here on.
    pub fn set_max_age(&mut self, max_age: Option<Duration>) {
        self.max_age = max_age;
    }

    // === where in the topic ===

    /// The next record, if one is there.
    pub fn poll(&self) -> Option<BorrowedMessage<'q>> {
        self.queue.poll()
    }

    /// The record, as it comes.
    pub fn record(&self, message: BorrowedMessage<'q>) -> InputRecord<'q> {
        InputRecord::new(message, self.queue.times_made_again())
    }

    /// The id of another topic that has taken the place of the one that is read.
    pub fn other_topic(&self) -> Option<String> {
        self.queue.other_topic()
    }

    /// Whether the topic was deleted, and not made again.
    pub fn is_gone(&self) -> bool {
        self.queue.is_gone()
    }

    /// Reads the other topic, of this id, from its beginning.
    pub fn begin_again(&mut self, id: String) -> Result<Incarnation, CameraError> {
        (self.next_offset, self.sought, self.gop_start) = (None, None, None);
        self.reading = Reading::Following;
        self.begin_anew();
        self.queue.begin_again(id).map_err(CameraError::Input)
    }

    /// Whether records are missing before this one.
    pub fn is_behind_gap(&self, offset: i64) -> bool {
        self.next_offset.is_some_and(|next| offset > next + HARMLESS_GAP)
    }

    /// A record comes.
    pub fn record_comes(&mut self, offset: i64) {
        self.next_offset = Some(offset + 1);
        self.asked_again = None;
        if let Reading::Filling { until } = self.reading
            && offset >= until
        {
            self.reading = Reading::Following;
        }
    }

    /// Whether the record that came last only fills the decoder: an earlier run, or this one before
    /// a silence, has output it.
    pub fn is_filling(&self) -> bool {
        matches!(self.reading, Reading::Filling { .. })
    }

    /// How late a record is. Its age is looked at where there is a limit to it.
    pub fn lateness(&self, message: &BorrowedMessage<'_>) -> Lateness {
        let age = || age(message.timestamp(), SystemTime::now());
        Lateness {
            behind: self.queue.behind(message.offset()),
            age: self.max_age.and_then(|_| age()),
        }
    }

    /// Where decoding can begin, so that the frame behind the latest record comes out right.
    pub fn gop_start(&self) -> Option<Arc<GopStart>> {
        self.gop_start.clone()
    }

    /// An access unit begins in the record at this offset. `missing`: the parameter sets that are
    /// known and not in it.
    pub fn unit_at(
        &mut self,
        offset: i64,
        inspection: Inspection,
        missing: impl FnOnce() -> Option<Arc<[u8]>>,
    ) {
        let begins = || Arc::new(GopStart { offset, parameter_sets: missing() });
        match inspection.content {
            Content::KeyPicture => {
                self.gop_start = Some(begins());
                self.refresh = None;
            }
            Content::RefreshPoint { right_from } if self.refresh.is_none() => {
                self.refresh = Some((begins(), right_from));
            }
            _ => {}
        }
        let is_right = |(_, from): &(_, i64)| inspection.position.is_some_and(|at| at + 1 >= *from);
        if let Some((begins, _)) = self.refresh.take_if(|refresh| is_right(refresh)) {
            self.gop_start = Some(begins);
        }
    }

    // === silence ===

    /// The silence begins anew: a record came just now, or the camera could not have taken one.
    pub fn was_busy(&mut self) {
        self.last_arrival = Instant::now();
    }

    /// Whether nothing has come for so long.
    pub fn is_silent_for(&self, time: Duration) -> bool {
        self.last_arrival.elapsed() >= time
    }

    /// The decoder was emptied in the middle of a GOP, and is to be filled again when that goes on.
    pub fn drained(&mut self) {
        self.reading = match &self.gop_start {
            Some(begins) => Reading::Drained { gop_start: begins.offset },
            None => Reading::Following,
        };
    }

    /// What comes next does not follow what came last.
    fn begin_anew(&mut self) {
        self.inspector.begin_anew();
        self.repeats.begin_anew();
        self.refresh = None;
    }

    /// Looks at a record that may be the first behind a silence: where it goes on in a GOP, that is
    /// read again from its key frame on. `inspection`: of a byte stream there is none, since one
    /// can't tell before it is cut.
    pub fn go_on_after_silence(
        &mut self,
        message: &BorrowedMessage<'_>,
        inspection: Option<Inspection>,
    ) -> Result<AfterSilence, CameraError> {
        let Reading::Drained { gop_start } = self.reading else { return Ok(AfterSilence::GoesOn) };
        match inspection.map(|inspection| inspection.content) {
            // What is no video changes nothing.
            None if self.splitter.is_none() => Ok(AfterSilence::GoesOn),
            Some(Content::KeyPicture) => {
                self.reading = Reading::Following;
                Ok(AfterSilence::GoesOn)
            }
            _ => {
                self.reading = Reading::Filling { until: message.offset() };
                self.next_offset = None;
                self.begin_anew();
                self.seek(gop_start, message.offset(), 1)?;
                Ok(AfterSilence::ComesAgain)
            }
        }
    }

    fn seek(&mut self, gop_start: i64, first: i64, times: u32) -> Result<(), CameraError> {
        self.queue.seek(gop_start).map_err(CameraError::Input)?;
        self.sought = Some(Sought { gop_start, first, since: Instant::now(), times });
        Ok(())
    }

    /// Whether a record has come that lies behind those that were to come again: librdkafka may
    /// forget where it was to go on, when it is asked for other topics meanwhile. They are asked
    /// for again.
    pub fn has_strayed(&mut self, offset: i64) -> Result<bool, CameraError> {
        let Some(sought) = self.sought.take() else { return Ok(false) };
        let strays = offset > sought.first && sought.times < MOST_SEEKS;
        if strays {
            self.seek(sought.gop_start, sought.first, sought.times + 1)?;
        }
        Ok(strays)
    }

    /// Nothing has come. Asks again for what was to come again, or is known to be there, where that
    /// takes too long.
    pub fn seek_again_if_overdue(&mut self) -> Result<(), CameraError> {
        match self.sought {
            Some(Sought { gop_start, first, since, times }) if since.elapsed() > SEEK_PATIENCE => {
                tracing::debug!(gop_start, "records that were to come again do not; asks again");
                return self.seek(gop_start, first, times);
            }
            Some(_) => return Ok(()),
            None => {}
        }
        let asked_or_came = self.asked_again.map_or(self.last_arrival, |(at, _)| at);
        if asked_or_came.elapsed() < SEEK_PATIENCE {
            return Ok(());
        }
        // What is behind the last record may be the end of a transaction, and no record.
        let times = self.asked_again.map_or(0, |(_, times)| times);
        if let Some(next) = self.next_offset
            && times < MOST_SEEKS
            && self.queue.behind(next - 1) > 0
        {
            tracing::debug!(next, "records that are there do not come; asks again");
            self.asked_again = Some((Instant::now(), times + 1));
            self.queue.seek(next).map_err(CameraError::Input)?;
        }
        Ok(())
    }

    // === what is in a record ===

    /// What a record of one access unit holds, which is looked at once; `None`: no video, or a
    /// chunk of a byte stream.
    pub fn inspect(&mut self, message: &BorrowedMessage<'_>) -> Option<Inspection> {
        if self.splitter.is_some() {
            return None;
        }
        let mut inspection = self.inspector.inspect(message.payload().unwrap_or_default())?;
        inspection.is_repeated |= self.repeats.recognises(message);
        if inspection.content == Content::Unknown {
            inspection.content = match keyframe_header(message.headers()) {
                Some(true) => Content::KeyPicture,
                Some(false) => Content::Picture,
                None => Content::Unknown,
            };
        }
        Some(inspection)
    }

    /// What an access unit holds; `None`: no video.
    pub fn inspect_unit(&mut self, data: &[u8]) -> Option<Inspection> {
        self.inspector.inspect(data)
    }

    /// Cuts a chunk of a byte stream into the access units that end in it; `None`: the camera's
    /// records are access units. `seq`: the record that it is, unless it only fills the decoder.
    pub fn cut(&mut self, seq: Option<Seq>, chunk: &[u8]) -> Option<Vec<Unit>> {
        self.splitter.as_mut().map(|splitter| splitter.push(seq, chunk))
    }

    /// A chunk that only fills the decoder comes, perhaps without a key frame before it.
    pub fn chunk_fills(&mut self, offset: i64) {
        self.gop_start.get_or_insert_with(|| Arc::new(GopStart { offset, parameter_sets: None }));
    }

    /// The access unit whose end has not come.
    pub fn finish_unit(&mut self) -> Option<Unit> {
        self.splitter.as_mut().and_then(Splitter::finish)
    }

    /// Whether the byte stream can't be cut from here on.
    pub fn is_lost(&self) -> bool {
        self.splitter.as_ref().is_some_and(Splitter::is_lost)
    }

    /// The first record in which an access unit begins whose end has not come.
    pub fn earliest_open(&self) -> Option<Seq> {
        self.splitter.as_ref().and_then(Splitter::earliest_open)
    }
}

/// What cuts a camera's stream, where its framing asks for that.
pub(crate) fn splitter(spec: &CameraSpec) -> Result<Option<Splitter>, CameraError> {
    match spec.framing {
        Framing::Packet => Ok(None),
        Framing::Bytestream => Splitter::new(spec.codec).map(Some).ok_or(CameraError::NoParser),
    }
}
