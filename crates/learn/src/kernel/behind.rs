//! Who stands behind each sum.

use privacy::few::Few;
use privacy::step::{Block, Layout};

use super::{Pattern, Plan};

/// The persons behind one place.
#[derive(Debug, Clone, Default)]
pub(super) struct Who {
    pub(super) rows: u64,
    pub(super) persons: u64,
    pub(super) sets: Vec<u64>,
}

/// The persons behind all places.
#[derive(Debug)]
pub(super) struct Behind {
    everybody: Who,
    /// For each pair of columns of the layout; empty when no block is of pairs.
    pairs: Vec<Who>,
    /// For each column alone.
    columns: Vec<Who>,
}

/// Counts of one pair of columns.
#[derive(Debug, Clone, Default)]
struct Both {
    patterns: u64,
    rows: u64,
    persons: Few,
    nonzero: Few,
    clamped: Few,
    with_event: Few,
    without_event: Few,
}

impl Both {
    fn add(&mut self, pattern: &Pattern, nonzero: bool, cap: u32) {
        self.patterns += 1;
        if nonzero {
            self.nonzero.merge(&pattern.persons, cap);
        }
        self.rows += pattern.rows;
        self.persons.merge(&pattern.persons, cap);
        self.clamped.merge(&pattern.clamped, cap);
        let event = if pattern.event { &mut self.with_event } else { &mut self.without_event };
        event.merge(&pattern.persons, cap);
    }

    /// `others` are the sets of those with one column only, and with neither.
    fn into_who(self, others: [u64; 3], tells_events: bool) -> Who {
        let mut sets = vec![self.clamped.count()];
        sets.extend(others);
        sets.push(self.nonzero.count());
        if tells_events {
            sets.extend([self.with_event.count(), self.without_event.count()]);
        }
        Who { rows: self.rows, persons: self.persons.count(), sets }
    }
}

/// The patterns with the levels of each column.
struct Index<'a> {
    patterns: &'a [Pattern],
    of: Vec<Vec<u32>>,
    cap: u32,
}

impl Index<'_> {
    fn has(&self, pattern: u32, column: usize) -> bool {
        self.of[column].binary_search(&pattern).is_ok()
    }

    /// Persons with `column` and without `other`, up to the cap.
    fn without(&self, column: usize, other: usize) -> u64 {
        let lacking = self.of[column].iter().filter(|pattern| !self.has(**pattern, other));
        self.persons(lacking.copied())
    }

    /// Persons with neither, up to the cap.
    fn neither(&self, j: usize, k: usize) -> u64 {
        let all = (0u32..).zip(self.patterns).map(|(index, _)| index);
        self.persons(all.filter(|pattern| !self.has(*pattern, j) && !self.has(*pattern, k)))
    }

    fn persons(&self, patterns: impl Iterator<Item = u32>) -> u64 {
        let mut few = Few::default();
        for pattern in patterns {
            few.merge(&self.patterns[pattern as usize].persons, self.cap);
            if !few.is_open() {
                break;
            }
        }
        few.count()
    }
}

impl Behind {
    pub(super) fn of(plan: &Plan, patterns: &[Pattern], cap: u32) -> Self {
        let layout: &Layout = plan.layout();
        let columns = plan.step().columns.len();
        let mut index = Index { patterns, of: vec![Vec::new(); columns], cap };
        let mut everybody = Both::default();
        let mut pairs = vec![Both::default(); layout.pairs().len()];
        let mut alone = vec![Both::default(); columns];
        for (number, pattern) in (0u32..).zip(patterns) {
            everybody.add(pattern, true, cap);
            for (column, nonzero) in pattern.columns() {
                index.of[column].push(number);
                alone[column].add(pattern, nonzero, cap);
            }
            let places = pattern.pairs().filter(|_| !layout.pairs().is_empty());
            let places = places.filter_map(|(j, k, nonzero)| Some((plan.pair(j, k)?, nonzero)));
            places.for_each(|(pair, nonzero)| pairs[pair].add(pattern, nonzero, cap));
        }
        let all = everybody.patterns;
        let patterns_of: Vec<u64> = alone.iter().map(|both| both.patterns).collect();
        // Patterns are counted first: most of these sets are empty, and then nobody is looked for.
        let others = |j: usize, k: usize, both: u64| {
            let (first, second) = (patterns_of[j] - both, patterns_of[k] - both);
            let neither = all - first - second - both;
            let count =
                |patterns: u64, find: &dyn Fn() -> u64| if patterns > 0 { find() } else { 0 };
            [
                count(first, &|| index.without(j, k)),
                count(second, &|| index.without(k, j)),
                count(neither, &|| index.neither(j, k)),
            ]
        };
        let tells = plan.tells_events();
        let pairs = pairs.into_iter().zip(layout.pairs()).map(|(both, (j, k))| {
            let others = others(usize::from(*j), usize::from(*k), both.patterns);
            both.into_who(others, tells)
        });
        let pairs = pairs.collect();
        let alone = alone.into_iter().enumerate().map(|(column, both)| {
            let others = others(column, column, both.patterns);
            both.into_who(others, tells)
        });
        let columns = alone.collect();
        Self { everybody: everybody.into_who([0; 3], tells), pairs, columns }
    }

    /// Who stands behind place `offset` of a block.
    pub(super) fn of_place(&self, block: Block, offset: usize) -> &Who {
        match block {
            Block::Scalars => &self.everybody,
            block if block.is_of_pairs() => &self.pairs[offset],
            _ => &self.columns[offset],
        }
    }
}
