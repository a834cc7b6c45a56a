//! What people may ask for, as plain values: limits, quotas, grants, keys, the names of plugins and
//! of steps.
//!
//! Everything here can be written down in a configuration or a command and says what is wrong with
//! it when it is parsed. It does nothing, and imports nothing else of this crate.

mod breaker;
mod digest;
mod grants;
mod interface;
mod keys;
mod limits;
mod load_limits;
mod names;
mod overlay;
mod plugin_ref;
mod quota;
mod step;
mod terms;

pub use breaker::{BreakerSettings, BreakerState, BreakerTable};
pub use digest::{Digest, NoDigest};
pub use grants::Grant;
pub(crate) use interface::{INTERFACE_PACKAGE, INTERFACE_VERSION, is_of_this_track};
pub use keys::{KeyError, NoPublicKey, PrivateKey, PublicKey};
pub(crate) use limits::{DESCRIBE_DEADLINE, LOG_LINE_BYTES, STACK_BYTES};
pub use limits::{Limits, LimitsTable};
pub use load_limits::LoadLimits;
pub(crate) use names::{MOST_HEADERS, check_header, check_plugin};
pub(crate) use plugin_ref::ENDING;
pub use plugin_ref::{NoPluginRef, PluginRef};
pub use quota::{CoreCount, Quota};
pub use step::Step;
pub use terms::Terms;
