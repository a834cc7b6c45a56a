//! The interfaces of `wit/` that the host offers: a file each, which has all that there is to say
//! of it. `NAME` is what it is called, `NEEDS` what an operator has to grant to who imports it,
//! `State` what the host keeps of it for one instance, and `link` puts its functions into the
//! linker.
//!
//! A new interface is a new file, a `mod` line, and its name in the list of [`interfaces!`].

use wasmtime::component::Linker;

use super::message::one_line;
use crate::plugin::supply::{LoadProblem, Trust};
use crate::policy::{Grant, INTERFACE_PACKAGE, is_of_this_track};

mod context;
mod frames;
mod log;
mod metrics;
mod types;

use context::Caller;
pub(crate) use context::InstanceContext;
pub use context::Owner;

/// Makes of the list of interfaces what is kept for an instance, and what is linked and checked.
macro_rules! interfaces {
    ($($interface:ident),+) => {
        /// What the host keeps for the imports of one instance.
        pub(crate) struct Imports {
            pub context: InstanceContext,
            $(pub $interface: $interface::State,)+
        }

        impl Imports {
            /// Of an instance that has called nothing yet.
            pub fn new(context: InstanceContext) -> Self {
                Self { context, $($interface: $interface::State::default(),)+ }
            }
        }

        /// Adds all interfaces to a linker, for stores whose data has [`Imports`].
        pub(crate) fn link<T: AsMut<Imports> + 'static>(
            linker: &mut Linker<T>,
        ) -> wasmtime::Result<()> {
            $($interface::link(linker, |data| {
                let Imports { context, $interface: state, .. } = data.as_mut();
                Caller { context, state }
            })?;)+
            Ok(())
        }

        /// What each interface is called, and needs.
        const OFFERED: &[(&str, Option<Grant>)] =
            &[$(($interface::NAME, $interface::NEEDS)),+];
    };
}

interfaces!(types, frames, log, metrics);

/// Checks what a component imports against what the host offers, and what plugins of this tenant
/// may reach of it.
pub(crate) fn check(import: &str, tenant: &str, trust: &Trust) -> Result<(), LoadProblem> {
    let Some(interface) = import.strip_prefix(INTERFACE_PACKAGE) else {
        return Err(LoadProblem::ForeignImport(one_line(import)));
    };
    let name = interface.split('@').next().unwrap_or(interface);
    let offered = OFFERED.iter().find(|(offered, _)| *offered == name);
    match offered {
        Some((_, needs)) if is_of_this_track(interface) => match needs {
            Some(grant) if !trust.grants.contains(grant) => {
                let (import, tenant) = (one_line(import), tenant.to_owned());
                Err(LoadProblem::NotGranted { import, tenant, grant: *grant })
            }
            _ => Ok(()),
        },
        // A later version of the package may have it.
        _ => Err(LoadProblem::OtherVersion(one_line(import))),
    }
}

#[cfg(test)]
mod tests {
    use wit_parser::Resolve;

    use super::*;

    /// Nothing else would notice that one is missing in the list.
    #[test]
    fn every_interface_that_a_plugin_may_import_is_offered_and_no_other() {
        let mut resolve = Resolve::default();
        let wit = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit");
        let (package, _) = resolve.push_dir(wit).unwrap();
        let world = resolve.select_world(&[package], Some("plugin")).unwrap();
        let imports = resolve.worlds[world].imports.keys();
        let mut imports: Vec<String> = imports.map(|key| resolve.name_world_key(key)).collect();
        let offered = OFFERED.iter().map(|(name, _)| format!("{INTERFACE_PACKAGE}{name}@0.1.0"));
        let mut offered: Vec<String> = offered.collect();
        imports.sort_unstable();
        offered.sort_unstable();
        assert_eq!(imports, offered);
    }
}
