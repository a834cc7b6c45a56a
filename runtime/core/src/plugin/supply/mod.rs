//! Where components come from, and whose are trusted: looked up by their `source`, read, compared
//! with digests, and verified before a byte of them is interpreted.

mod load_error;
mod pinned;
pub(crate) mod private_files;
mod resolver;
mod search_path;
mod signature;
mod trust;

pub use load_error::{JobFailed, JobPanicked, LoadError, LoadProblem};
pub(crate) use pinned::PinnedComponents;
pub(crate) use private_files::Durable;
pub use resolver::{FetchError, Fetched};
pub(crate) use resolver::{Resolver, read_component};
pub(crate) use search_path::{SearchPath, TenantSearchPath};
pub use signature::{ComponentSignature, sign, signatures};
pub use trust::Trust;
