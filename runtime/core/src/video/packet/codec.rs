//! A decoder of libavcodec, by the name users write in `codec`.

use std::fmt;

use ffmpeg_next as ffmpeg;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A codec that this build of libavcodec can decode.
#[derive(Clone, Copy)]
pub struct Codec {
    decoder: ffmpeg::Codec,
}

/// `codec` names no decoder.
#[derive(Debug, thiserror::Error)]
#[error(
    "libavcodec has no video decoder `{0}`; try h264, h265, mjpeg, vp8, vp9 or av1, \
     or a name that `ffmpeg -decoders` lists"
)]
pub struct UnknownCodec(String);

impl Codec {
    /// Finds the decoder for a codec's usual name, or the decoder with this very name.
    ///
    /// # Errors
    /// When libavcodec has no such decoder, or it is not for video.
    pub fn from_name(name: &str) -> Result<Self, UnknownCodec> {
        use ffmpeg::codec::Id;
        // libavcodec's own names first would find `av1`, which only drives hardware.
        let id = match name.to_ascii_lowercase().as_str() {
            "h264" | "h.264" | "avc" => Some(Id::H264),
            "h265" | "h.265" | "hevc" => Some(Id::HEVC),
            "mjpeg" | "jpeg" => Some(Id::MJPEG),
            "vp8" => Some(Id::VP8),
            "vp9" => Some(Id::VP9),
            "av1" => Some(Id::AV1),
            _ => None,
        };
        let decoder = match id {
            // Unlike libavcodec's own, at the same cost, it tells when a frame is lost.
            Some(Id::VP9) => ffmpeg::decoder::find_by_name("libvpx-vp9")
                .or_else(|| ffmpeg::decoder::find(Id::VP9)),
            Some(id) => ffmpeg::decoder::find(id),
            // libavcodec's names end at a NUL, on which the binding would panic.
            None if name.contains('\0') => None,
            None => ffmpeg::decoder::find_by_name(name),
        };
        match decoder {
            Some(decoder) if decoder.medium() == ffmpeg::media::Type::Video => Ok(Self { decoder }),
            _ => Err(UnknownCodec(name.to_owned())),
        }
    }

    /// The codec for a stream of a file, to publish it.
    #[must_use]
    pub fn id(self) -> ffmpeg::codec::Id {
        self.decoder.id()
    }

    /// The decoder's name in libavcodec.
    #[must_use]
    pub fn name(self) -> String {
        self.decoder.name().to_owned()
    }

    /// Its name for people.
    #[must_use]
    pub fn title(self) -> String {
        use ffmpeg::codec::Id;
        let title = match self.id() {
            Id::H264 => "H.264",
            Id::HEVC => "H.265",
            Id::MJPEG => "JPEG pictures",
            Id::VP8 => "VP8",
            Id::VP9 => "VP9",
            Id::AV1 => "AV1",
            _ => return self.name(),
        };
        title.to_owned()
    }

    /// Whether pictures may come out in another order than they go in.
    #[must_use]
    pub fn reorders(self) -> bool {
        use ffmpeg::codec::Id;
        !matches!(self.id(), Id::MJPEG | Id::VP8 | Id::VP9 | Id::AV1)
    }

    /// Whether the decoder gives a picture for each spatial layer of VP9, not for the largest
    /// alone.
    pub(super) fn gives_each_layer(self) -> bool {
        self.decoder.name() == "vp9"
    }

    /// Whether its packets are made of NAL units.
    #[must_use]
    pub fn has_nal_units(self) -> bool {
        matches!(self.id(), ffmpeg::codec::Id::H264 | ffmpeg::codec::Id::HEVC)
    }

    /// Whether decoding needs parameter sets that stand beside the pictures.
    #[must_use]
    pub fn has_parameter_sets(self) -> bool {
        self.has_nal_units() || self.id() == ffmpeg::codec::Id::AV1
    }

    /// Whether every packet is a whole picture of its own. libavcodec says so of most codecs of
    /// which it is true.
    #[must_use]
    pub fn is_still(self) -> bool {
        // SAFETY: it takes any codec's id; a descriptor is static.
        let properties = unsafe {
            let descriptor = ffmpeg::ffi::avcodec_descriptor_get(self.id().into());
            descriptor.as_ref().map_or(0, |descriptor| descriptor.props)
        };
        let is_intra = properties & ffmpeg::ffi::AV_CODEC_PROP_INTRA_ONLY != 0;
        is_intra || self.id() == ffmpeg::codec::Id::PNG
    }

    /// Whether it is a library of its own that starts threads as it likes.
    #[must_use]
    pub fn has_threads_of_its_own(self) -> bool {
        // SAFETY: the decoder is one that libavcodec found.
        let capabilities = unsafe { (*self.decoder.as_ptr()).capabilities };
        capabilities as u32 & ffmpeg::ffi::AV_CODEC_CAP_OTHER_THREADS != 0
    }

    pub(crate) fn decoder(self) -> ffmpeg::Codec {
        self.decoder
    }
}

impl PartialEq for Codec {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id() && self.decoder.name() == other.decoder.name()
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.decoder.name())
    }
}

impl<'de> Deserialize<'de> for Codec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Codec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.decoder.name())
    }
}
