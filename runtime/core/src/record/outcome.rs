//! What became of a record: the vocabulary of the output headers.
//!
//! The words here are a public contract (`comux-status`, `comux-reason`); the counters in
//! [`crate::stats`] are indexed by them, so that every record is counted under exactly one.

/// Makes of one list of reasons the enum, its words, and all of them in the order of their counters:
/// one that is missing somewhere would not be counted.
macro_rules! reasons {
    (
        $(#[$of_all:meta])* $Reasons:ident:
        $($(#[$why:meta])* $Reason:ident = $word:literal,)*
    ) => {
        $(#[$of_all])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $Reasons {
            $($(#[$why])* $Reason,)*
        }

        impl $Reasons {
            /// All reasons, in the order of their counters.
            pub const ALL: [Self; [$($word),*].len()] = [$(Self::$Reason),*];

            /// The word in `comux-reason`.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$Reason => $word,)*
                }
            }
        }
    };
}

reasons! {
    /// Why a record was not analysed although nothing is wrong with it.
    SkipReason:

    /// The camera's `rate` asks for fewer frames.
    Rate = "rate",
    /// The camera fell behind and analysis moved on to a newer key frame.
    Lag = "lag",
    /// Nothing can be decoded until the next key frame.
    NoKeyframe = "no-keyframe",
    /// The record holds no picture of its own: parameter sets, a hidden frame, the middle of one.
    NoPicture = "no-picture",
    /// The camera is paused.
    Paused = "paused",
    /// A plugin that keeps failing is left out for a while.
    Quarantined = "quarantined",
    /// The tenant, or the host, has used what its quota allows.
    Quota = "quota",
    /// It is the record before it once more.
    Repeated = "repeated",
}

reasons! {
    /// Why a record that should have been analysed was not.
    FailReason:

    /// The record is empty or holds nothing of the camera's codec.
    NotVideo = "not-video",
    /// The picture, or one that it needs, is damaged or did not come.
    DecodeError = "decode-error",
    /// More than one picture is in the record.
    SeveralPictures = "several-pictures",
    /// The picture is larger than the tenant's quota, or the host's, allows.
    TooLarge = "too-large",
    /// The plugin returned an error, or a header it may not write.
    PluginError = "plugin-error",
    /// The plugin trapped; a fresh instance takes over.
    PluginTrap = "plugin-trap",
    /// The camera's plugins can't be loaded; that is tried again and again.
    NoPlugin = "no-plugin",
    /// The plugin ran past its deadline and was stopped.
    Deadline = "deadline",
    /// The plugin wanted more memory than it may have.
    Memory = "memory",
    /// The plugin gave more, or larger, headers than it may, or other data that is too large.
    Output = "output",
    /// The output topic refused the record. It is not there; perhaps among the dead letters.
    Refused = "refused",
}

/// The final word on a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Decoded and seen by every plugin of the camera.
    Analysed,
    /// The camera has no plugin; nothing was decoded.
    Passthrough,
    /// Not analysed, on purpose.
    Skipped(SkipReason),
    /// Not analysed, though it should have been.
    Failed(FailReason),
}

impl Status {
    /// The word in `comux-status`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Analysed => "analysed",
            Self::Passthrough => "passthrough",
            Self::Skipped(_) => "skipped",
            Self::Failed(_) => "failed",
        }
    }

    /// The word in `comux-reason`, when there is one to give.
    #[must_use]
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Analysed | Self::Passthrough => None,
            Self::Skipped(reason) => Some(reason.word()),
            Self::Failed(reason) => Some(reason.word()),
        }
    }
}

/// The names of the headers that the runtime adds to a record.
pub mod header {
    /// How they all begin; no plugin's does, and no input record's.
    pub const PREFIX: &str = "comux-";
    /// What stands in the place of that on headers that an input record brought.
    pub const INPUT_PREFIX: &str = "comux-in-";
    /// The record's number on its camera.
    pub const SEQ: &str = "comux-seq";
    /// `topic/partition/offset` of the input record.
    pub const SOURCE: &str = "comux-source";
    /// What became of the record.
    pub const STATUS: &str = "comux-status";
    /// Why it was skipped, or failed.
    pub const REASON: &str = "comux-reason";
    /// The plugins that ran.
    pub const PLUGIN: &str = "comux-plugin";
    /// Presentation time in microseconds.
    pub const PTS: &str = "comux-pts";
    /// On key frames.
    pub const KEYFRAME: &str = "comux-keyframe";
    /// Where the record's time went.
    pub const TIMING: &str = "comux-timing";

    /// All of them, in the order in which they are written.
    pub const ALL: [&str; 8] = [SEQ, SOURCE, STATUS, REASON, PLUGIN, PTS, KEYFRAME, TIMING];
}

/// A header that a plugin added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultHeader {
    /// The header's name, one of those that the plugin declared.
    pub name: String,
    /// Its value, as the plugin gave it.
    pub value: Vec<u8>,
}

/// Where a record's time went, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// From receipt to result, less the two below: mostly the decoder's reordering delay.
    pub queue: u64,
    /// In libavcodec.
    pub decode: u64,
    /// In the camera's plugins.
    pub plugin: u64,
}

/// Everything the runtime adds to a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What became of it.
    pub status: Status,
    /// `name@version+sha256.…` of each plugin that was called, comma-separated.
    pub plugins: Option<String>,
    /// The plugins' results.
    pub headers: Vec<ResultHeader>,
    /// Where its time went; absent when it was not decoded.
    pub timing: Option<Timing>,
}

impl Outcome {
    /// An outcome that carries no results.
    #[must_use]
    pub fn bare(status: Status) -> Self {
        Self { status, plugins: None, headers: Vec::new(), timing: None }
    }

    /// Skipped for `reason`.
    #[must_use]
    pub fn skipped(reason: SkipReason) -> Self {
        Self::bare(Status::Skipped(reason))
    }

    /// Failed for `reason`.
    #[must_use]
    pub fn failed(reason: FailReason) -> Self {
        Self::bare(Status::Failed(reason))
    }
}
