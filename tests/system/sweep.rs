//! Every way to encode a scene, whole and with something that happened to its records on the way:
//! what `ffmpeg` shows undamaged is analysed, and what is damaged is not. Whether a picture is
//! undamaged is told by a hash of its luma, of which a single sample makes another.

use std::collections::HashSet;
use std::ops::Range;
use std::thread;

use comux_tests::encodings::{self, ENCODINGS, Encoding};
use comux_tests::media::Clip;
use comux_tests::process::{Comux, Config, plugins_line};
use comux_tests::records::{Record, consume, produce};

use crate::promises::{assert_same_records, topics};

/// What happens to a stream's records before Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Whole,
    /// The first seven are missing.
    Joined,
    /// This one is missing.
    Lost(usize),
    /// Of this one the last 40 % are missing.
    Cut(usize),
    /// Of this one the last half is missing, and there are but two more behind it, so that damage
    /// shows when nothing follows.
    CutAtEnd(usize),
    /// This one comes again.
    Twice(usize),
}

impl Change {
    /// Where a place to begin is every twelve records: in the middle between two, and shortly
    /// before one.
    const ALL: [Self; 8] = [
        Self::Whole,
        Self::Joined,
        Self::Lost(17),
        Self::Lost(22),
        Self::Cut(17),
        Self::Cut(22),
        Self::CutAtEnd(23),
        Self::Twice(17),
    ];

    fn name(self) -> String {
        match self {
            Self::Whole => "whole".to_owned(),
            Self::Joined => "joined".to_owned(),
            Self::Lost(number) => format!("lost-{number}"),
            Self::Cut(number) => format!("cut-{number}"),
            Self::CutAtEnd(number) => format!("cut-at-end-{number}"),
            Self::Twice(number) => format!("twice-{number}"),
        }
    }

    fn apply(self, records: &mut Vec<Record>) {
        match self {
            Self::Whole => {}
            Self::Joined => drop(records.drain(..7)),
            Self::Lost(number) => drop(records.remove(number)),
            Self::Cut(number) => cut(&mut records[number], 0.6),
            Self::CutAtEnd(number) => {
                records.truncate(number + 3);
                cut(&mut records[number], 0.5);
            }
            Self::Twice(number) => records.insert(number + 1, records[number].clone()),
        }
    }

    /// The first record that may show that something is wrong.
    fn affected(self) -> Option<usize> {
        match self {
            Self::Lost(number) | Self::Cut(number) | Self::CutAtEnd(number) => Some(number),
            Self::Whole | Self::Joined | Self::Twice(_) => None,
        }
    }

    /// Whether the codec has nothing by which it always shows that something is wrong: the
    /// exceptions in the book's chapter on streams.
    fn may_go_unnoticed(self, codec: &str) -> bool {
        match self {
            Self::Whole | Self::Joined | Self::Twice(_) => false,
            Self::Lost(_) => matches!(codec, "vp8" | "vp9" | "av1" | "mpeg2video" | "mpeg4"),
            Self::Cut(_) | Self::CutAtEnd(_) => {
                matches!(codec, "h265" | "vp8" | "vp9" | "av1" | "mpeg2video" | "mpeg4")
            }
        }
    }
}

/// So much of a record is left.
fn cut(record: &mut Record, part: f64) {
    let value = record.value.as_mut().unwrap();
    value.truncate((value.len() as f64 * part) as usize);
}

/// Records of a stream, and what is known of the pictures in them.
struct Stream {
    name: String,
    codec: &'static str,
    records: Vec<Record>,
    /// The right fingerprint of each record's picture, where it has one, …
    right: Vec<Option<String>>,
    /// … and whether ffmpeg shows that picture.
    shown: Vec<bool>,
    /// Records that may wait for the next place to begin, because others need what was damaged.
    may_wait: Range<usize>,
    may_hide_damage: bool,
}

impl Stream {
    fn new(encoding: &Encoding, clip: &Clip, change: Change) -> Self {
        let mut records = encoding.records(clip);
        change.apply(&mut records);
        let shown: HashSet<String> = clip.shown_by_ffmpeg(&records).into_iter().collect();
        let right_of = |record: &Record| {
            let pts = record.header("pts")?.parse().unwrap();
            clip.picture(pts).map(|picture| picture.fingerprint.clone())
        };
        let right: Vec<Option<String>> = records.iter().map(right_of).collect();
        // Of a stream that does not say how it is reordered, ffmpeg loses some at the beginning.
        let is_whole = matches!(change, Change::Whole | Change::Twice(_));
        let is_shown = |right: &Option<String>| {
            right.as_ref().is_some_and(|it| is_whole || shown.contains(it))
        };
        let shown: Vec<bool> = right.iter().map(is_shown).collect();
        // A stream whose sets came once, and were missed, shows nothing.
        assert!(change == Change::Joined || shown.contains(&true), "{}", encoding.name);
        Self {
            name: format!("sweep-{}-{}", encoding.name, change.name()),
            codec: encoding.codec,
            may_wait: change.affected().map_or(0..0, |at| {
                let found = waiting(at, change, &records, &right, &shown);
                // A picture of a refresh may be whole before the stream says so.
                let is_longer = encoding.is_refreshed() && !found.is_empty();
                let refresh = if is_longer { encodings::GROUP } else { 0 };
                found.start..found.end + refresh
            }),
            may_hide_damage: change.may_go_unnoticed(encoding.codec),
            records,
            right,
            shown,
        }
    }

    /// All changes of a scene that is encoded in this way.
    fn all(encoding: &Encoding) -> Vec<Self> {
        let clip = encoding.clip();
        let distinct: HashSet<&String> = clip.pictures.iter().map(|it| &it.fingerprint).collect();
        assert_eq!(distinct.len(), clip.pictures.len(), "no two pictures are alike");
        Change::ALL.iter().map(|&change| Self::new(encoding, &clip, change)).collect()
    }

    fn camera(&self, threads: u8) -> String {
        format!("{}-{threads}", self.name)
    }

    /// What is wrong with what came out, a line each.
    fn faults(&self, output: &[Record]) -> Vec<String> {
        let mut faults = Vec::new();
        let mut before = None;
        for (number, record) in output.iter().enumerate() {
            let (status, reason) = record.status();
            let found = record.header("fingerprint.luma");
            let right = self.right[number].as_deref();
            let is_again = before == record.value.as_ref();
            before = record.value.as_ref();
            let fault = match (found, right) {
                (Some(_), None) => "has no picture of its own and is analysed",
                (Some(found), Some(right)) if found != right && !self.may_hide_damage => {
                    "is damaged and is analysed"
                }
                (None, _)
                    if self.shown[number] && !is_again && !self.may_wait.contains(&number) =>
                {
                    "is shown and is not analysed"
                }
                _ => continue,
            };
            // Whose picture it is, if it is one.
            let whose = self.right.iter().position(|right| right.as_deref() == found);
            faults.push(format!("{number} {fault}: {status} {reason:?}, {found:?} of {whose:?}"));
        }
        faults
    }
}

/// The records from the one that something happened to up to the next key frame; none where ffmpeg
/// shows that no other picture was affected.
fn waiting(
    at: usize,
    change: Change,
    records: &[Record],
    right: &[Option<String>],
    shown: &[bool],
) -> Range<usize> {
    let is_itself = |number| number == at && matches!(change, Change::Cut(_) | Change::CutAtEnd(_));
    let spares_others = right
        .iter()
        .zip(shown)
        .enumerate()
        .all(|(number, (right, shown))| *shown || right.is_none() || is_itself(number));
    if spares_others {
        return 0..0;
    }
    let mut behind = (at + 1)..records.len();
    at..behind
        .find(|&number| records[number].header("keyframe") == Some("1"))
        .unwrap_or(records.len())
}

/// Does something with each of the items, several at a time: nearly all of it is waiting.
fn with_each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    const AT_ONCE: usize = 16;
    let work = &work;
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for chunk in items.chunks(items.len().div_ceil(AT_ONCE)) {
            threads.push(scope.spawn(move || chunk.iter().map(work).collect::<Vec<R>>()));
        }
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn what_ffmpeg_shows_undamaged_is_analysed_and_nothing_else() {
    let at_length = comux_tests::repetitions(0, 1) == 1;
    let chosen: Vec<&Encoding> =
        ENCODINGS.iter().filter(|encoding| at_length || encoding.is_sample).collect();
    let streams: Vec<Stream> =
        with_each(&chosen, |encoding| Stream::all(encoding)).into_iter().flatten().collect();
    let mut cameras = Vec::new();
    for (index, stream) in streams.iter().enumerate() {
        let threads = [1, 4];
        let chosen = if at_length { &threads[..] } else { &threads[index % 2..][..1] };
        cameras.extend(chosen.iter().map(|&threads| (stream, threads)));
    }
    let mut config = Config::new("sweep").with("[quota]\ncameras = 2000\nmemory_mb = 8000");
    for (stream, threads) in &cameras {
        let lines = format!(
            "codec = '{}'\nmode = 'every-frame'\nstart = 'beginning'\n\
             decode_threads = {threads}\ndrain_after_ms = 3000\n\
             limits = {{ memory_mb = 4, deadline_ms = 10000 }}\n{}",
            stream.codec,
            plugins_line("fingerprint", "")
        );
        config = config.camera(&stream.camera(*threads), &lines);
    }
    with_each(&cameras, |(stream, threads)| {
        produce(&topics(&stream.camera(*threads)).0, &stream.records);
    });
    let comux = Comux::run(&config);
    let faults = with_each(&cameras, |(stream, threads)| {
        let camera = stream.camera(*threads);
        let output = consume(&format!("stream_{camera}"), stream.records.len());
        assert_same_records(&stream.records, &output);
        let faults = stream.faults(&output).into_iter();
        faults.map(|fault| format!("{camera} {fault}")).collect::<Vec<_>>()
    });
    comux.stop();
    let faults = faults.concat();
    assert!(faults.is_empty(), "{} records:\n{}", faults.len(), faults.join("\n"));
}
