//! How closely withheld numbers of rows follow from the margins that are told.
//!
//! A withheld number that does not follow exactly may follow nearly: numbers of rows are not negative, and
//! the margins say what they add up to. The least and the largest that one can be are linear programs
//! (Hundepool et al., *Statistical Disclosure Control*, Wiley 2012, section 4.3.3); where all cells of a table
//! with two dimensions are withheld they are Fréchet's bounds.
//!
//! The solver is not trusted. What it finds is rounded, and only if that is a table of whole numbers with the same
//! margins does it show that an interval is at least so wide. A cell of which this is not shown is taken to follow
//! nearly, and more is withheld.

use std::cell::Cell as Counter;

use microlp::{ComparisonOp, OptimizationDirection, Problem, Variable};
use num_traits::ToPrimitive as _;

/// Largest distance of what was found from a whole number.
const TOLERANCE: f64 = 0.01;
/// Numbers of rows above which a sum of doubles would not be exact.
const MAX_ROWS: u64 = 1 << 50;

/// Linear programs that may still be solved.
#[derive(Debug)]
pub(super) struct Programs(Counter<u32>);

impl Programs {
    pub(super) const fn new(most: u32) -> Self {
        Self(Counter::new(most))
    }

    /// Allows so many from now on.
    pub(super) fn allow(&self, most: u32) {
        self.0.set(most);
    }

    /// How many may still be solved.
    #[cfg(test)]
    pub(super) fn left(&self) -> u32 {
        self.0.get()
    }

    /// Takes one; false when there are none left.
    fn take(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }
}

/// Calls `give` with each withheld number of rows that must lie in an interval narrower than `width`, until it says
/// yes; whether it did. `sums` says which of the numbers each margin adds up; one that no margin adds up can be
/// anything. `None` when too many `programs` would have to be solved.
pub(super) fn any_narrow(
    rows: &[u64],
    sums: &[Vec<usize>],
    width: u64,
    programs: &Programs,
    give: &mut dyn FnMut(usize) -> bool,
) -> Option<bool> {
    let mut seen: Vec<(u64, u64)> = rows.iter().map(|rows| (*rows, *rows)).collect();
    let mut bound = vec![false; rows.len()];
    sums.iter().flatten().for_each(|cell| bound[*cell] = true);
    let is_wide = |(least, most): (u64, u64)| most - least >= width;
    for cell in (0..rows.len()).filter(|cell| bound[*cell]) {
        for direction in [OptimizationDirection::Maximize, OptimizationDirection::Minimize] {
            if is_wide(seen[cell]) {
                break;
            }
            if !programs.take() {
                return None;
            }
            // Every table that is found tells of all cells.
            for (seen, rows) in seen.iter_mut().zip(extreme(rows, sums, cell, direction)) {
                *seen = (seen.0.min(rows), seen.1.max(rows));
            }
        }
        if !is_wide(seen[cell]) && give(cell) {
            return Some(true);
        }
    }
    Some(false)
}

/// Whole numbers with the same sums, of which `cell` is as large or as small as it can be; none where none were
/// found.
fn extreme(
    truth: &[u64],
    sums: &[Vec<usize>],
    cell: usize,
    direction: OptimizationDirection,
) -> Vec<u64> {
    let sum = |cells: &[usize], of: &[u64]| {
        cells.iter().fold(0u64, |sum, one| sum.saturating_add(of[*one]))
    };
    let mut problem = Problem::new(direction);
    let variable = |one| problem.add_var(f64::from(u8::from(one == cell)), (0.0, f64::INFINITY));
    let variables: Vec<Variable> = (0..truth.len()).map(variable).collect();
    for cells in sums {
        let told = sum(cells, truth);
        if told > MAX_ROWS {
            return Vec::new();
        }
        let terms: Vec<_> = cells.iter().map(|one| (variables[*one], 1.0)).collect();
        problem.add_constraint(terms, ComparisonOp::Eq, told as f64);
    }
    let solution = problem.solve().ok().and_then(|outcome| outcome.into_solution().ok());
    let Some(solution) = solution else { return Vec::new() };
    let whole = |variable: &Variable| {
        let found = solution.var_value(*variable);
        let rounded = found.round();
        rounded.to_u64().filter(|_| (found - rounded).abs() <= TOLERANCE)
    };
    let found = variables.iter().map(whole).collect::<Option<Vec<u64>>>();
    let same = |found: &Vec<u64>| sums.iter().all(|line| sum(line, found) == sum(line, truth));
    found.filter(same).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn narrow(rows: &[u64], sums: &[Vec<usize>], width: u64) -> Vec<usize> {
        let mut found = Vec::new();
        let mut give = |cell| {
            found.push(cell);
            false
        };
        let programs = Programs::new(1_000);
        assert_eq!(any_narrow(rows, sums, width, &programs, &mut give), Some(false));
        found
    }

    #[test]
    fn too_many_programs_are_no_answer() {
        let sums = vec![vec![0, 1, 2], vec![3, 4, 5]];
        let any = |most| {
            let programs = Programs::new(most);
            any_narrow(&[3, 4, 5, 6, 7, 8], &sums, 100, &programs, &mut |_| false)
        };
        assert_eq!([any(0), any(11), any(12)], [None, None, Some(false)]);
    }

    /// The rows and columns of a table, by the index of a cell.
    fn lines(rows: usize, columns: usize) -> Vec<Vec<usize>> {
        let row = |row| (0..columns).map(|column| row * columns + column).collect();
        let column = |column| (0..rows).map(|row| row * columns + column).collect();
        (0..rows).map(row).chain((0..columns).map(column)).collect()
    }

    #[test]
    fn a_circle_of_small_and_large_cells_is_narrow() {
        // Rows and columns add up to eleven or twenty, and yet nothing can move by more than one either way.
        let circle = [1, 10, 10, 1, 10, 10];
        // In the order of the circle, row and column in turn.
        let sums: Vec<Vec<usize>> = (0..6).map(|one| vec![one, (one + 1) % 6]).collect();
        assert_eq!(narrow(&circle, &sums, 3), [0, 1, 2, 3, 4, 5]);
        assert!(narrow(&circle, &sums, 2).is_empty());
    }

    #[test]
    fn what_no_margin_adds_up_can_be_anything() {
        assert!(narrow(&[3, 4], &[], 11).is_empty());
        assert_eq!(narrow(&[3, 4], &[vec![0, 1]], 11), [0, 1]);
        assert!(narrow(&[3, 8], &[vec![0, 1]], 11).is_empty());
    }

    proptest! {
        /// Fréchet's bounds of a table of which only rows and columns are told: from `max(0, r + c - n)` to
        /// `min(r, c)`.
        #[test]
        fn whole_tables_have_frechets_bounds(
            cells in prop::collection::vec(0u64..30, 12),
            width in 1u64..40,
        ) {
            let (sums, all) = (lines(3, 4), cells.iter().sum::<u64>());
            let total = |line: &Vec<usize>| line.iter().map(|cell| cells[*cell]).sum::<u64>();
            let expected: Vec<usize> = (0..12).filter(|cell| {
                let (row, column) = (total(&sums[cell / 4]), total(&sums[3 + cell % 4]));
                let least = (row + column).saturating_sub(all);
                row.min(column) - least < width
            }).collect();
            prop_assert_eq!(narrow(&cells, &sums, width), expected);
        }

        /// Of some cells, every table of whole numbers with these sums is tried.
        #[test]
        fn bounds_are_those_of_all_tables(
            cells in prop::collection::vec((0u64..5, any::<bool>()), 9),
            width in 1u64..6,
        ) {
            let withheld: Vec<usize> = (0..9).filter(|cell| cells[*cell].1).collect();
            let place = |cell: &usize| withheld.iter().position(|one| one == cell);
            let sums = lines(3, 3).into_iter();
            let sums = sums.map(|line| line.iter().filter_map(place).collect::<Vec<_>>());
            let sums: Vec<_> = sums.filter(|line| !line.is_empty()).collect();
            let truth: Vec<u64> = withheld.iter().map(|cell| cells[*cell].0).collect();
            let mut seen: Vec<(u64, u64)> = truth.iter().map(|rows| (*rows, *rows)).collect();
            every(&truth, &sums, &mut vec![0; truth.len()], 0, &mut seen);
            let is_narrow = |cell: &usize| seen[*cell].1 - seen[*cell].0 < width;
            let expected: Vec<usize> = (0..truth.len()).filter(is_narrow).collect();
            prop_assert_eq!(narrow(&truth, &sums, width), expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// With three dimensions there may be tables of fractions only: what is called wide is so in whole numbers.
        #[test]
        fn intervals_of_three_dimensions_are_never_taken_for_wider(
            cells in prop::collection::vec((0u64..3, any::<bool>()), 12),
            width in 1u64..4,
        ) {
            let withheld: Vec<usize> = (0..12).filter(|cell| cells[*cell].1).collect();
            let place = |cell: usize| withheld.iter().position(|one| *one == cell);
            // 2 x 2 x 3, and the sums along each dimension.
            let at = |x: usize, y: usize, z: usize| (x * 2 + y) * 3 + z;
            let mut sums: Vec<Vec<usize>> = Vec::new();
            for (y, z) in (0..2).flat_map(|y| (0..3).map(move |z| (y, z))) {
                sums.push((0..2).filter_map(|x| place(at(x, y, z))).collect());
                sums.push((0..2).filter_map(|x| place(at(y, x, z))).collect());
            }
            for (x, y) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                sums.push((0..3).filter_map(|z| place(at(x, y, z))).collect());
            }
            sums.retain(|line| !line.is_empty());
            let truth: Vec<u64> = withheld.iter().map(|cell| cells[*cell].0).collect();
            let mut seen: Vec<(u64, u64)> = truth.iter().map(|rows| (*rows, *rows)).collect();
            every(&truth, &sums, &mut vec![0; truth.len()], 0, &mut seen);
            let narrow = narrow(&truth, &sums, width);
            for (cell, (least, most)) in seen.into_iter().enumerate() {
                prop_assert!(most - least >= width || narrow.contains(&cell), "{}", cell);
            }
        }
    }

    /// Tries all numbers from `next` on that keep every sum.
    fn every(
        truth: &[u64],
        sums: &[Vec<usize>],
        tried: &mut Vec<u64>,
        next: usize,
        seen: &mut [(u64, u64)],
    ) {
        let sum = |line: &Vec<usize>, of: &[u64]| line.iter().map(|one| of[*one]).sum::<u64>();
        if next == truth.len() {
            if sums.iter().all(|line| sum(line, tried) == sum(line, truth)) {
                let both = seen.iter_mut().zip(tried);
                both.for_each(|(seen, rows)| *seen = (seen.0.min(*rows), seen.1.max(*rows)));
            }
            return;
        }
        let own = sums.iter().filter(|line| line.contains(&next));
        let most = own.map(|line| sum(line, truth)).min().unwrap_or(0);
        for rows in 0..=most {
            tried[next] = rows;
            let fits = |line: &Vec<usize>| sum(line, tried) <= sum(line, truth);
            if sums.iter().all(fits) {
                every(truth, sums, tried, next + 1, seen);
            }
        }
        tried[next] = 0;
    }
}
