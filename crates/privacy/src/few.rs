//! A set that only needs to know whether it has reached a threshold: persons behind a cell.

/// Distinct keys, exact below a cap; at the cap it stops growing and forgets who they were.
#[derive(Debug, Clone, Default)]
pub struct Few {
    len: u32,
    closed: bool,
    members: Vec<u32>,
}

impl Few {
    /// False once the cap is reached.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !self.closed
    }

    /// Distinct keys seen, at most the cap.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::from(self.len)
    }

    /// Adds a key; true while the set stays open.
    pub fn insert(&mut self, key: u32, cap: u32) -> bool {
        if self.closed {
            return false;
        }
        if !self.members.contains(&key) {
            self.members.push(key);
            self.len += 1;
            if self.len >= cap {
                self.close();
            }
        }
        !self.closed
    }

    fn close(&mut self) {
        self.closed = true;
        self.members = Vec::new();
    }

    /// The union of two sets with the same cap.
    pub fn merge(&mut self, other: &Self, cap: u32) {
        if other.closed && !self.closed {
            self.len = cap;
            self.close();
        }
        for &key in &other.members {
            self.insert(key, cap);
        }
    }
}
