//! How much memory one instance may have, all linear memories together, and how many elements of
//! tables.

use wasmtime::ResourceLimiter;

use crate::policy::Limits;

/// Bounds what an instance may have, and remembers that a bound was hit, so that the trap which
/// follows is reported as what it is.
pub(crate) struct MemoryLimit {
    limits: Limits,
    /// Bytes of all linear memories. They never shrink.
    memory: usize,
    /// Elements of all tables.
    elements: usize,
    was_hit: bool,
}

impl MemoryLimit {
    /// Of an instance that has nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, memory: 0, elements: 0, was_hit: false }
    }

    /// Bytes of linear memory that the instance has.
    pub fn bytes(&self) -> u64 {
        self.memory as u64
    }

    /// Whether a bound was hit since this was asked last.
    pub fn was_hit(&mut self) -> bool {
        std::mem::take(&mut self.was_hit)
    }

    /// Whether something may grow, of all of which there is `total`.
    fn grow(total: &mut usize, (current, desired): (usize, usize), most: usize) -> bool {
        let grown = total.saturating_sub(current).saturating_add(desired);
        let fits = grown <= most;
        if fits {
            *total = grown;
        }
        fits
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let most = self.limits.memory_bytes();
        let fits = Self::grow(&mut self.memory, (current, desired), most);
        self.was_hit |= !fits;
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let most = self.limits.table_elements as usize;
        let fits = Self::grow(&mut self.elements, (current, desired), most);
        self.was_hit |= !fits;
        Ok(fits)
    }

    fn memories(&self) -> usize {
        self.limits.memories as usize
    }

    fn tables(&self) -> usize {
        self.limits.tables as usize
    }

    fn instances(&self) -> usize {
        self.limits.instances as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_and_all_tables_together_are_bounded() {
        let limits = Limits { memory_mb: 2, table_elements: 100, ..Limits::default() };
        let mut limit = MemoryLimit::new(limits);
        let mut memory = |current, desired| limit.memory_growing(current, desired, None).unwrap();
        const MIB: usize = 1 << 20;
        assert!(memory(0, MIB));
        assert!(memory(0, MIB / 2), "a second one");
        assert!(!memory(MIB, 2 * MIB));
        assert!(memory(MIB, MIB * 3 / 2));
        assert!(!memory(0, 1), "nothing is left for a third");
        assert_eq!(limit.bytes(), 2 * MIB as u64);
        assert!(limit.was_hit());
        assert!(!limit.was_hit(), "since it was asked");
        let mut table = |current, desired| limit.table_growing(current, desired, None).unwrap();
        assert!(table(0, 60));
        assert!(!table(0, 41));
        assert!(table(60, 100));
        assert!(limit.was_hit());
    }
}
