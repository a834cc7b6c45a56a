//! A plugin on a camera: an instance that is replaced when it is lost, or one that several cameras
//! share, and the breaker that leaves out what keeps failing.

mod breaker;
mod camera_plugin;
mod frame_call;
mod instances;
mod shared;
mod supervised;

pub use camera_plugin::CameraPlugin;
pub use instances::Instances;
