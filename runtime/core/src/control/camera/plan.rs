//! A chain of plugins to come, as a command names it: what stays, what is loaded already, what is
//! to be.

use super::resolve::Placed;
use crate::config::PluginEntry;
use crate::control::wire::RolloutOptions;

/// A chain of plugins to come.
pub(crate) struct Plan {
    pub chain: Vec<Planned>,
    pub options: RolloutOptions,
    /// What runs already is instantiated anew.
    pub afresh: bool,
    /// It brings back what ran before.
    pub goes_back: bool,
}

/// One plugin of it.
pub(crate) enum Planned {
    /// What runs at this place.
    Present(usize),
    /// What this says, perhaps in the place of what runs.
    Entry(PluginEntry),
    /// This, in the place of what runs there.
    Loaded(Placed, Option<usize>),
}

impl Plan {
    /// These plugins and no others; `afresh`: none of them as it runs now.
    pub fn of_list(entries: Vec<PluginEntry>, afresh: bool) -> Self {
        let chain = entries.into_iter().map(Planned::Entry).collect();
        Self { chain, options: RolloutOptions::default(), afresh, goes_back: false }
    }
}

/// Whether it is the same component with the same configuration, whatever it is called.
pub(crate) fn is_same(old: &PluginEntry, new: &PluginEntry) -> bool {
    (old.sha256, &old.config) == (new.sha256, &new.config)
}

/// Plugins of other names than before take the places that are left, in their order, so that a
/// rollback finds what was there.
pub(crate) fn pair_the_rest(places: &mut [Option<usize>], present: usize) {
    let taken = places.to_vec();
    let mut left = (0..present).filter(|place| !taken.contains(&Some(*place)));
    for place in places.iter_mut().filter(|place| place.is_none()) {
        *place = left.next();
    }
}
