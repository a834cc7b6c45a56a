//! Plugins that take frames of several cameras in one call: one instance for all cameras of a
//! tenant on which the plugin runs with the same configuration and limits.
//!
//! A camera's thread that has a frame waits here until its round is over (see [`rounds`]), without
//! a permit for a core. Whoever finds a round over makes the call, on its own thread: there is no
//! thread beside the cameras', and nobody to wake before work can begin.
//!
//! A trap in a call about several frames may be any one's: all of them fail, but it counts against
//! nobody. For a while their cameras then are called alone, so that the next trap shows whose it
//! is, and the others go on.

mod handle;
mod registry;
mod rounds;
mod shared_instance;

pub(crate) use handle::SharedHandle;
pub(crate) use registry::SharedInstances;
