//! How closely withheld numbers of rows follow from the margins that are told.
//!
//! A withheld number that does not follow exactly may follow nearly: numbers of rows are not negative, and
//! the margins say what they add up to. The least and the largest that one can be are linear programs
//! (Hundepool et al., *Statistical Disclosure Control*, Wiley 2012, section 4.3.3); where all cells of a table
//! with two dimensions are withheld they are Fréchet's bounds.
//!
//! The solver is not trusted. What it finds is a table that somebody might have; only if that agrees with every
//! margin does it show that an interval is at least so wide. A cell of which this is not shown is taken to
//! follow nearly, and more is withheld.

use microlp::{ComparisonOp, OptimizationDirection, Problem, Variable};

/// Largest difference between a margin and the sum of what was found, as a share of the margin.
const TOLERANCE: f64 = 1e-6;

/// Of withheld numbers of rows, which must lie in an interval that is narrower than `width`. `sums` says which of
/// them each margin adds up; one that no margin adds up can be anything.
pub(super) fn narrow(rows: &[u64], sums: &[Vec<usize>], width: u64) -> Vec<usize> {
    let truth: Vec<f64> = rows.iter().map(|rows| *rows as f64).collect();
    let width = width as f64;
    let mut seen: Vec<(f64, f64)> = truth.iter().map(|rows| (*rows, *rows)).collect();
    let mut bound = vec![false; rows.len()];
    sums.iter().flatten().for_each(|cell| bound[*cell] = true);
    let is_wide = |(least, most): (f64, f64)| most - least >= width;
    let mut narrow = Vec::new();
    for cell in (0..rows.len()).filter(|cell| bound[*cell]) {
        for direction in [OptimizationDirection::Maximize, OptimizationDirection::Minimize] {
            if is_wide(seen[cell]) {
                break;
            }
            // Every table that is found tells of all cells.
            for (seen, rows) in seen.iter_mut().zip(extreme(&truth, sums, cell, direction)) {
                *seen = (seen.0.min(rows), seen.1.max(rows));
            }
        }
        if !is_wide(seen[cell]) {
            narrow.push(cell);
        }
    }
    narrow
}

/// Numbers with the same sums, of which `cell` is as large or as small as it can be; none where none were found.
fn extreme(
    truth: &[f64],
    sums: &[Vec<usize>],
    cell: usize,
    direction: OptimizationDirection,
) -> Vec<f64> {
    let mut problem = Problem::new(direction);
    let variable = |one| problem.add_var(f64::from(u8::from(one == cell)), (0.0, f64::INFINITY));
    let variables: Vec<Variable> = (0..truth.len()).map(variable).collect();
    let sum = |sum: &[usize], of: &[f64]| sum.iter().map(|one| of[*one]).sum::<f64>();
    for cells in sums {
        let terms: Vec<_> = cells.iter().map(|one| (variables[*one], 1.0)).collect();
        problem.add_constraint(terms, ComparisonOp::Eq, sum(cells, truth));
    }
    let Some(solution) = problem.solve().ok().and_then(|outcome| outcome.into_solution().ok())
    else {
        return Vec::new();
    };
    let found: Vec<f64> = variables.iter().map(|one| solution.var_value(*one)).collect();
    let is_met = |cells: &Vec<usize>| {
        let (found, told) = (sum(cells, &found), sum(cells, truth));
        (found - told).abs() <= TOLERANCE * told.max(1.0)
    };
    let is_possible = found.iter().all(|rows| *rows >= -TOLERANCE) && sums.iter().all(is_met);
    if is_possible { found } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
