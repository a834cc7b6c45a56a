//! How much may be used, as people write it.

use std::num::NonZeroU32;

use nix::unistd::{SysconfVar, sysconf};
use serde::{Deserialize, Serialize};

/// How much a tenant, or all of them together, may use. What is absent is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// Cameras, running or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cameras: Option<u32>,
    /// Plugin instances: one for each plugin of each camera, and for a moment two in a swap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<u32>,
    /// MiB of linear memory that its plugin instances may grow to, by their limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u32>,
    /// CoreCount that its plugins may keep busy, on average over a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CoreCount>,
    /// CoreCount that decoding its cameras may keep busy, on average over a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode: Option<CoreCount>,
    /// KiB of plugins' headers per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_kb_per_s: Option<NonZeroU32>,
    /// KiB of plugins' log per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_kb_per_s: Option<NonZeroU32>,
    /// KiB of output records per second. No record is ever dropped: they are held back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_kb_per_s: Option<NonZeroU32>,
    /// Pixels of a frame that is decoded, width times height.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_pixels: Option<NonZeroU32>,
}

/// A number of cores, such as 0.5.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct CoreCount(f64);

impl TryFrom<f64> for CoreCount {
    type Error = &'static str;

    fn try_from(cores: f64) -> Result<Self, Self::Error> {
        match cores {
            0.001..=10_000.0 => Ok(Self(cores)),
            _ => Err("a number of cores is at least 0.001, such as 0.5"),
        }
    }
}

impl From<CoreCount> for f64 {
    fn from(cores: CoreCount) -> Self {
        cores.0
    }
}

impl Quota {
    /// What all tenants together may use where `[quota]` says nothing.
    #[must_use]
    pub fn or_of_the_host(self) -> Self {
        Self {
            // The figure that comux is built and tested for.
            cameras: self.cameras.or(Some(1000)),
            // Each memory reserves some 6 GiB of addresses, of which a process has 128 TiB, and
            // takes a few of the 65,530 mappings that Linux allows.
            instances: self.instances.or(Some(5_000)),
            // The other half is for frames, packets and everything else.
            memory_mb: self.memory_mb.or_else(|| Some(machine_memory_mb()? / 2)),
            // What a person could still search through.
            log_kb_per_s: self.log_kb_per_s.or(NonZeroU32::new(1024)),
            // 8K, in DCI's format.
            frame_pixels: self.frame_pixels.or(NonZeroU32::new(8192 * 4320)),
            ..self
        }
    }
}

/// MiB of memory that this process may have: the machine's, or its container's.
fn machine_memory_mb() -> Option<u32> {
    let value = |of| sysconf(of).ok().flatten().and_then(|value| u64::try_from(value).ok());
    let (pages, size) = (value(SysconfVar::_PHYS_PAGES)?, value(SysconfVar::PAGE_SIZE)?);
    let machine = pages.checked_mul(size)?;
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let container = container.and_then(|text| text.trim().parse::<u64>().ok());
    u32::try_from(container.map_or(machine, |most| most.min(machine)) / (1024 * 1024)).ok()
}
