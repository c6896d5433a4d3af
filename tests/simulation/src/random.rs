//! Chance, from a seed: the same seed gives the same numbers, on every machine.

use std::cell::Cell;

/// A million, the whole of a chance.
pub const ALWAYS: u32 = 1_000_000;

/// SplitMix64, which is good enough to disturb a system and short enough to be read.
#[derive(Debug)]
pub struct Random(Cell<u64>);

impl Random {
    /// The numbers of this seed.
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(seed ^ 0x5DEE_CE66_D1CE_4E5B))
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.set(state);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from `from` to `to`, both included.
    pub fn between(&self, from: i64, to: i64) -> i64 {
        let width = u64::try_from(to.saturating_sub(from)).unwrap_or(0);
        let offset = if width == u64::MAX {
            self.next()
        } else {
            self.next() % (width + 1)
        };
        from.saturating_add(i64::try_from(offset).unwrap_or(0))
    }

    /// True so many times in a million. Takes no number when it is sure.
    pub fn chance(&self, in_a_million: u32) -> bool {
        match in_a_million {
            0 => false,
            n if n >= ALWAYS => true,
            n => self.next() % u64::from(ALWAYS) < u64::from(n),
        }
    }

    /// One of them.
    pub fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.next() as usize % of.len()]
    }
}
