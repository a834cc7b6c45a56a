//! Parts of comux, lent to measurements of what they cost one by one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use comux::plugin::compile::Compiler;
use comux::plugin::instance::CameraPlugin;
use comux::plugin::supply::Trust;
use comux::plugin::{Loader, LoaderSettings};
use comux::policy::{Limits, LoadLimits, PluginRef, Terms};
use comux::tenancy::Tenant;
use comux::video::decode::Decoder;
use comux::video::frame::{Frame, FrameFacts};
use comux::video::packet::{Codec, Content, Inspection};
use comux::video::{MediaPacket, MediaReader};

/// Where `make plugins` puts them.
pub fn loader() -> Loader {
    Loader::open(LoaderSettings {
        counts_fuel: false,
        state_dir: None,
        plugin_dir: comux_tests::target_dir().join("plugins"),
        base: PathBuf::from("."),
        trust: Trust::default(),
        tenants: HashMap::new(),
        compiler: Compiler::default(),
        limits: LoadLimits::default(),
    })
    .expect("plugins can run")
}

/// An instance of a component in `target/plugins`.
pub fn instance(loader: &Loader, tenant: &Arc<Tenant>, name: &str, config: &str) -> CameraPlugin {
    let source: PluginRef = format!("{name}.wasm").parse().expect("a source");
    let loaded = loader.load(tenant, &source, None).expect("it loads");
    let owner = (Arc::clone(tenant), "bench");
    // A busy machine takes away the core for longer than a deadline.
    let limits = Limits { deadline_ms: 60_000, ..Limits::default() };
    let terms = Terms { limits, ..Terms::default() };
    CameraPlugin::start(loader.instances(), loaded.plugin, owner, config.to_owned(), terms)
        .expect("it starts")
}

/// Real footage of 768×576, without B-frames.
pub fn footage() -> (Codec, Vec<MediaPacket>) {
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("media/pedestrians-lowdelay.mp4");
    let mut reader = MediaReader::open(clip.to_str().unwrap()).expect("the clip");
    let codec = Codec::from_name(reader.codec).expect("a decoder");
    let mut packets = Vec::new();
    while let Some(packet) = reader.next_packet().expect("packets") {
        packets.push(packet);
    }
    (codec, packets)
}

/// The next packet's picture.
pub fn decode(decoder: &mut Decoder, packet: &MediaPacket, seq: u64) -> Option<Arc<Frame>> {
    decoder.send(Some(seq), &packet.data, Inspection::of(Content::Picture)).expect("it decodes");
    let decoded = decoder.receive().expect("it decodes")?;
    let info = FrameFacts {
        seq,
        pts_us: packet.pts,
        recorded_at_us: None,
        keyframe: packet.keyframe,
        discontinuity: false,
        decode_us: 0,
    };
    Some(Arc::new(Frame::new(info, decoded.frame)))
}
