//! libavcodec's decoder, opened: with threads, and with callbacks that are ours.

use std::sync::Arc;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::{discard::Discard, threading};
use serde::{Deserialize, Serialize};

use super::buffers::Buffers;
use super::complaints::Complaints;
use super::coverage::Coverage;
use super::workers::Workers;
use crate::video::packet::Codec;

/// libavcodec could not be started or refused a packet.
#[derive(Debug, thiserror::Error)]
pub enum DecoderError {
    /// The decoder could not be opened.
    #[error("could not open the decoder `{codec}`: {cause}; choose another `codec`")]
    Open {
        /// The decoder.
        codec: String,
        /// What libavcodec says.
        cause: ffmpeg::Error,
    },
    /// A packet or picture is broken.
    #[error("could not decode: {0}")]
    Broken(ffmpeg::Error),
}

/// How closely frames are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fidelity {
    /// Every sample is as the codec's standard says.
    Exact,
    /// Frames that no other needs keep the edges between their blocks: the loop filter is left
    /// out. All others are exact, so that nothing adds up.
    Fast,
}

/// What it is opened with, each time.
pub(super) struct Terms {
    pub codec: Codec,
    pub fidelity: Fidelity,
    /// Larger pictures are refused.
    pub max_pixels: i64,
    /// Tells which pictures were decoded in all their parts, where libavcodec does not.
    pub coverage: Option<Arc<Coverage>>,
}

/// libavcodec's decoder.
pub(super) struct Open {
    // Dropped first: its threads know the others.
    pub context: ffmpeg::decoder::Video,
    pub buffers: Option<Arc<Buffers>>,
}

impl Open {
    /// One with so many threads. `reorders`: by how many pictures, as far as is known of the
    /// stream.
    pub fn new(terms: &Terms, threads: usize, reorders: i32) -> Result<Self, DecoderError> {
        let Terms { codec, fidelity, max_pixels, ref coverage } = *terms;
        let open = || {
            let mut context = ffmpeg::codec::Context::new_with_codec(codec.decoder());
            let kind = if threads > 1 { threading::Type::Frame } else { threading::Type::None };
            let count = threads;
            context.set_threading(threading::Config { kind, count, ..Default::default() });
            // SAFETY: the context is ours, and not open yet.
            unsafe {
                let context = context.as_mut_ptr();
                (*context).max_pixels = max_pixels;
                (*context).has_b_frames = reorders;
                if codec.id() == ffmpeg::codec::Id::MJPEG {
                    // It shows what there is of a picture that was cut, and is silent about it.
                    (*context).err_recognition |= ffmpeg::ffi::AV_EF_EXPLODE;
                }
            }
            let workers = (threads > 1).then(Workers::fed_from_here);
            let buffers = (workers.is_some() || coverage.is_some()).then(|| {
                let buffers = Buffers {
                    workers,
                    coverage: coverage.clone(),
                    complaints: if threads > 1 { Complaints::needed() } else { None },
                };
                buffers.serve(&mut context)
            });
            let mut decoder = context.decoder();
            if fidelity == Fidelity::Fast {
                decoder.skip_loop_filter(Discard::NonReference);
            }
            let context = decoder.open_as(codec.decoder())?.video()?;
            Ok(Self { context, buffers })
        };
        open().map_err(|cause| DecoderError::Open { codec: codec.name(), cause })
    }

    /// What it says is damaged, where its frames do not.
    pub fn complaints(&self) -> Option<&Complaints> {
        self.buffers.as_ref().and_then(|buffers| buffers.complaints.as_ref())
    }
}
