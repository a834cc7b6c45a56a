//! How much a plugin may use.

use std::time::Duration;

use super::overlay::overlaid;

overlaid! {
    /// Limits of each plugin instance, enforced on every call.
    Limits,
    /// Limits as they are written: those that are not, are those of the next wider circle.
    LimitsTable:

    /// Wall-clock milliseconds that a call may take, less the time for which others had its core.
    /// Five frame intervals at 25 frames per second: analytics that need longer can't keep up
    /// anyway, and a stalled camera is noticed within a quarter of a second.
    deadline_ms = 200;
    /// MiB of linear memory, all memories together. A whole 1080p frame in RGB is 6 MiB; the
    /// default has room for ten.
    memory_mb = 64;
    /// Elements of all tables together. They hold function pointers, of which the largest plugins
    /// known, those that bring a JavaScript engine, have some 20,000.
    table_elements = 100_000;
    /// Core instances in the one component: the module, its adapters and shims are a handful; a
    /// Python interpreter with its libraries has 40.
    instances = 64;
    /// Linear memories. A module has one, and its adapters share it.
    memories = 4;
    /// Tables: one for the module's function pointers, one for the adapters'.
    tables = 8;
    /// Handles to resources that are alive at a time. A plugin is lent one frame, and the
    /// interface gives it nothing to keep; the rest is for resources within the component.
    handles = 64;
    /// MiB of pixels read of one frame: a whole 4K frame as RGBA, and as much again.
    read_mb = 64;
    /// Headers on one frame. The most talkative of the plugins that come with comux writes three.
    headers = 64;
    /// KiB of headers on one frame, names and values: room for some thousand boxes as JSON. Kafka's
    /// own default for a whole record, video and all, is 1 MB.
    header_kb = 64;
    /// KiB that a plugin may remember. It is copied when it is handed over, while the camera waits.
    state_kb = 1024;
    /// KiB of log per second; what exceeds it is counted and dropped. That is 200 lines of 80
    /// letters, for each camera: more than anybody reads.
    log_kb_per_s = 16;
    /// Frames in one call of a plugin that takes batches, and so cameras. Models gain little beyond
    /// it, and all of them wait for the one call.
    batch_frames = 32;
    /// Milliseconds that a frame may wait at most for others to join its batch. It never waits for
    /// longer than its camera can afford: this is for the slow ones, where a batch each tenth of a
    /// second is often enough.
    batch_wait_ms = 100;
    /// Names of metrics. Each becomes a time series per camera in whatever collects them, and time
    /// series are what collectors have to pay for.
    metrics = 32;
}

/// The native stack of a call. Plugins keep their data on their own stack in linear memory; this
/// one holds return addresses and spilled registers, and 512 KiB is wasmtime's own default. The
/// engine has it, and so all plugins of a host have the same.
pub(crate) const STACK_BYTES: usize = 512 * 1024;

/// Bytes that may come out of a plugin in one call at least, so that a long message costs its end
/// and not the instance: Kafka's own default for a whole record is 1 MB.
const LEAST_OUTPUT_BYTES: usize = 1024 * 1024;

/// The length at which a line of log is cut.
pub(crate) const LOG_LINE_BYTES: usize = 1024;

impl Limits {
    /// Bytes of linear memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.memory_mb as usize * 1024 * 1024
    }

    /// Bytes that may come out of the plugin in one call about one frame.
    pub(crate) fn output_bytes(&self) -> usize {
        LEAST_OUTPUT_BYTES.max(self.header_kb as usize * 1024)
    }

    /// Bytes that may come out of the plugin when it is saved: the snapshot, and a few words.
    pub(crate) fn snapshot_bytes(&self) -> usize {
        self.state_kb as usize * 1024 + 1024
    }

    /// How many frames may be in one call: each is a handle, and a plugin needs some for itself.
    pub(crate) fn batch_frames(&self) -> usize {
        self.batch_frames.min(self.handles / 2) as usize
    }

    /// How long a frame may wait for others.
    pub(crate) fn batch_wait(&self) -> Duration {
        Duration::from_millis(self.batch_wait_ms.into())
    }

    /// Wall-clock time of a call.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms.into())
    }
}

/// What a plugin may take to describe itself. No frame waits for it, and a busy machine may be slow
/// to give it a core; a second is still soon enough to notice that it never will.
pub(crate) const DESCRIBE_DEADLINE: Duration = Duration::from_secs(1);
