//! The packet path: any bytes of any codec, in records of any length, through everything between a
//! camera's queue and its sink that needs neither Kafka nor plugins.
//!
//! An input is a byte for the codec, one for how the camera is configured, and the stream, in which
//! five bytes end a record: `|cut|`, `|end|` (and the stream ends), `|lag|` (and the camera lags
//! behind).

use std::sync::Once;

use comux::record::{FailReason, Outcome, SkipReason, Status};
use comux::record::{Ledger, MOST_WAITING, Seq};
use comux::stats::CameraStats;
use comux::video::decode::{
    Decoded, Decoder, Fidelity, Gate, LagLimits, Lateness, Passage, WasSent,
};
use comux::video::packet::{Codec, Content, Inspection, Inspector, Splitter};

const CODECS: [&str; 6] = ["h264", "h265", "mjpeg", "vp8", "vp9", "av1"];
const MARK: usize = 5;
/// What is held in memory of a picture is counted against the input that asks for it.
const MAX_PIXELS: u64 = 8192 * 4320;

pub fn run(data: &[u8]) {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Quiet));
    let [codec, settings, stream @ ..] = data else { return };
    let codec = CODECS[usize::from(*codec) % CODECS.len()];
    let Ok(codec) = Codec::from_name(codec) else { return };
    let Some(mut camera) = Camera::new(codec, *settings) else { return };
    let mut rest = stream;
    while !rest.is_empty() {
        let marked = rest.windows(MARK).position(|window| window[0] == b'|' && window[4] == b'|');
        let (record, mark) = match marked {
            Some(at) => (&rest[..at], &rest[at + 1..at + 4]),
            None => (rest, &b"cut"[..]),
        };
        rest = marked.map_or(&[], |at| &rest[at + MARK..]);
        camera.take(record, if mark == b"lag" { 1000 } else { 0 });
        if mark == b"end" || camera.is_full() {
            camera.end_stream();
        }
        camera.emit();
    }
    camera.end_stream();
    camera.emit();
    camera.is_balanced();
}

/// What becomes of an access unit.
enum Way {
    Analyse,
    Fill(Outcome),
    Out(Outcome),
}

/// As `camera::pipeline` has it, without records of Kafka.
struct Camera {
    inspector: Inspector,
    keyframes_only: bool,
    /// The decoder changes places with another one wherever it can.
    reopens: bool,
    ledger: Ledger<usize>,
    splitter: Option<Splitter>,
    gate: Gate,
    decoder: Decoder,
    stats: CameraStats,
    damaged: bool,
    taken: usize,
    emitted: usize,
    /// The latest chunk that a unit began in: units come in the order of their chunks.
    latest: Seq,
}

impl Camera {
    fn new(codec: Codec, settings: u8) -> Option<Self> {
        let splitter = if settings & 1 == 1 { Some(Splitter::new(codec)?) } else { None };
        let limits = LagLimits { behind: (settings & 4 == 4).then_some(20), age: None };
        let mut decoder = Decoder::new(codec, 1, Fidelity::Exact).at_most(MAX_PIXELS);
        decoder.open_if_needed().ok()?;
        Some(Self {
            inspector: Inspector::new(codec),
            keyframes_only: settings & 2 == 2,
            reopens: settings & 8 == 8,
            ledger: Ledger::default(),
            splitter,
            gate: Gate::new(limits).at_most(MAX_PIXELS),
            decoder,
            stats: CameraStats::default(),
            damaged: false,
            taken: 0,
            emitted: 0,
            latest: 0,
        })
    }

    /// More records wait than pictures could.
    fn is_full(&self) -> bool {
        self.splitter.is_none() && self.ledger.len() > MOST_WAITING
    }

    fn take(&mut self, record: &[u8], behind: u64) {
        self.stats.record_received(i64::try_from(behind).unwrap());
        let number = self.taken;
        self.taken += 1;
        let Some(splitter) = &mut self.splitter else {
            return self.take_packet(number, record, behind);
        };
        let seq = self.ledger.admit_chunk(number);
        for unit in splitter.push(Some(seq), record) {
            self.take_unit(unit.seq, &unit.data, behind);
        }
        let splitter = self.splitter.as_ref().unwrap();
        if splitter.is_lost() {
            self.end_stream();
        } else if let Some(open) = splitter.earliest_open() {
            assert!(open <= seq);
            self.ledger.seal_before(open);
        }
    }

    fn take_packet(&mut self, number: usize, data: &[u8], behind: u64) {
        let Some(inspection) = self.inspector.inspect(data) else {
            self.ledger.admit_settled(number, Outcome::failed(FailReason::NotVideo));
            return;
        };
        let way = self.pass_gate(inspection, behind);
        let seq = match &way {
            Way::Analyse => self.ledger.admit_unit(number),
            Way::Fill(outcome) | Way::Out(outcome) => {
                self.ledger.admit_settled(number, outcome.clone())
            }
        };
        self.go(&way, seq, data, inspection);
    }

    fn take_unit(&mut self, seq: Option<Seq>, data: &[u8], behind: u64) {
        let seq = seq.expect("every chunk has a number");
        assert!(seq >= self.latest && seq < self.ledger.next_seq(), "{seq} after {}", self.latest);
        self.latest = seq;
        assert!(self.ledger.record(seq).is_some(), "a unit of a record that left");
        self.ledger.seal_before(seq);
        let Some(inspection) = self.inspector.inspect(data) else {
            self.ledger.unit_begins(seq);
            self.ledger.settle(seq, Outcome::failed(FailReason::NotVideo));
            return;
        };
        let way = self.pass_gate(inspection, behind);
        self.ledger.unit_begins(seq);
        if let Way::Fill(outcome) | Way::Out(outcome) = &way {
            self.ledger.settle(seq, outcome.clone());
        }
        self.go(&way, seq, data, inspection);
    }

    fn go(&mut self, way: &Way, seq: Seq, data: &[u8], inspection: Inspection) {
        let was_sent = if let Way::Out(_) = way { WasSent::No } else { WasSent::Yes };
        match way {
            Way::Out(_) => {}
            _ if inspection.content == Content::NoPicture => {
                self.decoder.send_without_picture(data, inspection);
                self.receive();
            }
            Way::Fill(_) => self.decode(None, data, inspection),
            Way::Analyse => self.decode(Some(seq), data, inspection),
        }
        if inspection.has_parameter_sets {
            self.decoder.learn(data, was_sent);
        }
    }

    fn pass_gate(&mut self, inspection: Inspection, behind: u64) -> Way {
        let content = inspection.content;
        let needs_others = matches!(content, Content::Picture | Content::RefreshPoint { .. });
        if self.keyframes_only && needs_others {
            return Way::Out(Outcome::skipped(SkipReason::Rate));
        }
        if content == Content::Continuation {
            let outcome = Outcome::skipped(SkipReason::NoPicture);
            return if self.gate.is_running() { Way::Fill(outcome) } else { Way::Out(outcome) };
        }
        let was_running = self.gate.is_running();
        match self.gate.judge(inspection, Lateness { behind, age: None }) {
            Passage::Decode if content == Content::NoPicture => {
                Way::Fill(Outcome::skipped(SkipReason::NoPicture))
            }
            Passage::Decode => {
                assert!(was_running, "decoded behind a shut gate");
                assert!(!self.gate.is_refreshing());
                if self.reopens && inspection.is_closed && self.decoder.can_reopen() {
                    assert_eq!(content, Content::KeyPicture);
                    self.empty_decoder();
                    self.decoder.reopen(3 - self.decoder.threads()).expect("it was open");
                }
                Way::Analyse
            }
            Passage::DecodeAfresh => {
                assert!(!was_running && !needs_others, "begun without a key frame");
                self.empty_decoder();
                Way::Analyse
            }
            Passage::Fill => {
                assert!(was_running && self.gate.is_refreshing());
                Way::Fill(Outcome::skipped(SkipReason::NoKeyframe))
            }
            Passage::FillAfresh => {
                // While it runs, only where something is missing before it.
                assert!(needs_others && (!was_running || inspection.lacks.is_some()));
                self.empty_decoder();
                Way::Fill(Outcome::skipped(SkipReason::NoKeyframe))
            }
            Passage::Broken { reason, spares_others } => {
                assert_eq!(self.gate.is_running(), spares_others);
                if !spares_others {
                    self.empty_decoder();
                }
                Way::Out(Outcome::failed(reason))
            }
            Passage::Skip(reason) => {
                if was_running && !self.gate.is_running() {
                    self.decoder.restart();
                    self.ledger.settle_waiting(&Outcome::skipped(reason));
                }
                Way::Out(Outcome::skipped(reason))
            }
        }
    }

    /// `seq`: the record whose frame it is, if that is to be seen.
    fn decode(&mut self, seq: Option<Seq>, data: &[u8], inspection: Inspection) {
        let sent = self.decoder.send(seq, data, inspection);
        self.receive();
        if sent.is_err() {
            if let Some(seq) = seq {
                self.ledger.settle(seq, Outcome::failed(FailReason::DecodeError));
            }
            self.damaged = true;
        }
        if self.damaged {
            self.gate.shut();
            self.empty_decoder();
        } else if self.keyframes_only {
            self.empty_decoder();
        }
    }

    fn receive(&mut self) {
        loop {
            match self.decoder.receive() {
                Ok(None) => return,
                Ok(Some(Decoded { seq, frame, damaged })) => {
                    let pixels = u64::from(frame.width()) * u64::from(frame.height());
                    assert!((1..=MAX_PIXELS).contains(&pixels), "{pixels} pixels");
                    // What was taken for a hidden frame, a second field, or the way to a refresh.
                    let Some(seq) = seq else {
                        self.damaged |= damaged && !self.gate.is_refreshing();
                        continue;
                    };
                    // Only what went in comes out.
                    self.damaged |= damaged;
                    assert!(seq < self.ledger.next_seq(), "a picture of record {seq}");
                    if self.ledger.record(seq).is_none() {
                        continue;
                    }
                    let outcome = match damaged {
                        true => Outcome::failed(FailReason::DecodeError),
                        false => Outcome::bare(Status::Analysed),
                    };
                    self.ledger.frame_out(seq, self.decoder.most_overtaken());
                    self.ledger.settle(seq, outcome);
                }
                Err(_) => {
                    self.damaged = true;
                    return;
                }
            }
        }
    }

    fn empty_decoder(&mut self) {
        self.decoder.finish();
        self.receive();
        self.damaged = false;
        self.ledger.settle_waiting(&Outcome::failed(FailReason::DecodeError));
        self.decoder.restart();
    }

    fn end_stream(&mut self) {
        if let Some(unit) = self.splitter.as_mut().and_then(Splitter::finish) {
            self.take_unit(unit.seq, &unit.data, 0);
        }
        self.gate.shut();
        self.empty_decoder();
        self.ledger.seal_before(self.ledger.next_seq());
        assert!(self.ledger.is_settled_before(self.ledger.next_seq()), "a record without a fate");
    }

    fn emit(&mut self) {
        while let Some((seq, number, outcome)) = self.ledger.pop_settled() {
            assert_eq!((seq, number), (self.emitted as Seq, self.emitted), "out of order");
            self.emitted += 1;
            self.stats.record_settled(outcome.status);
        }
    }

    fn is_balanced(&self) {
        assert!(self.ledger.is_empty());
        assert_eq!(self.emitted, self.taken);
        let counts = self.stats.counts();
        let skipped: u64 = counts.skipped.values().sum();
        let failed: u64 = counts.failed.values().sum();
        assert_eq!(counts.received, counts.analysed + counts.passthrough + skipped + failed);
    }
}
