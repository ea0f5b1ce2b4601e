//! Small dense linear algebra: what a fit needs of a symmetric matrix, in a fixed order of
//! operations, so that equal sums give equal bits on every machine.
//!
//! Cholesky factorisation and its use: Golub and Van Loan, *Matrix Computations*, 4th ed. (2013),
//! sections 4.2 and 3.1.

/// A symmetric matrix, row after row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Symmetric {
    size: usize,
    values: Vec<f64>,
}

/// `L` of `A = L Lᵀ`.
#[derive(Debug, Clone)]
pub(crate) struct Factor {
    size: usize,
    lower: Vec<f64>,
}

/// A column that is a combination of the ones before it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dependent {
    /// The column.
    pub(crate) column: usize,
    /// Columns before it that take part.
    pub(crate) of: Vec<usize>,
    /// What is left of it is nothing, and not less.
    pub(crate) is_exact: bool,
}

/// A pivot smaller than this share of its diagonal is none.
const SMALLEST_PIVOT: f64 = 1e-11;
/// Parts of a combination that count, for columns of length one.
const SMALLEST_PART: f64 = 1e-5;

impl Symmetric {
    pub(crate) fn zero(size: usize) -> Self {
        Self { size, values: vec![0.0; size * size] }
    }

    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.size + column]
    }

    pub(crate) fn set(&mut self, row: usize, column: usize, value: f64) {
        self.values[row * self.size + column] = value;
        self.values[column * self.size + row] = value;
    }

    pub(crate) fn add(&mut self, row: usize, column: usize, value: f64) {
        self.set(row, column, self.at(row, column) + value);
    }

    /// The same with one more row and column of zeros.
    pub(crate) fn bordered(&self) -> Self {
        let mut larger = Self::zero(self.size + 1);
        for row in 0..self.size {
            for column in row..self.size {
                larger.set(row, column, self.at(row, column));
            }
        }
        larger
    }

    /// All values, row after row.
    pub(crate) fn values(&self) -> &[f64] {
        &self.values
    }

    /// `A · B · A`, which is symmetric as both are.
    pub(crate) fn around(&self, inner: &Self) -> Self {
        let size = self.size;
        let mut half = vec![0.0; size * size];
        for row in 0..size {
            for column in 0..size {
                let sum: f64 = (0..size).map(|k| self.at(row, k) * inner.at(k, column)).sum();
                half[row * size + column] = sum;
            }
        }
        let mut whole = Self::zero(size);
        for row in 0..size {
            for column in row..size {
                let sum: f64 = (0..size).map(|k| half[row * size + k] * self.at(k, column)).sum();
                whole.set(row, column, sum);
            }
        }
        whole
    }

    /// Its factor; `None` unless it is positive definite.
    pub(crate) fn factor(&self) -> Option<Factor> {
        self.factored().ok()
    }

    /// The first column that is a combination of those before it.
    pub(crate) fn dependent(&self) -> Option<Dependent> {
        let (column, partial) = self.factored().err()?;
        // Column = Σ part · earlier column: solves Lᵀ part = row of L.
        let size = self.size;
        let mut parts: Vec<f64> = partial[column * size..column * size + column].to_vec();
        for row in (0..column).rev() {
            parts[row] /= partial[row * size + row];
            let known = parts[row];
            for (earlier, part) in parts.iter_mut().enumerate().take(row) {
                *part -= known * partial[row * size + earlier];
            }
        }
        let rest = partial[column * size + column].abs();
        let is_exact = rest <= 1e-9 * self.at(column, column).abs();
        let length = |index: usize| self.at(index, index).max(0.0).sqrt();
        let own = length(column).max(f64::MIN_POSITIVE);
        let counts = |(index, part): (usize, &f64)| {
            (part.abs() * length(index) / own > SMALLEST_PART).then_some(index)
        };
        let of = parts.iter().enumerate().filter_map(counts).collect();
        Some(Dependent { column, of, is_exact })
    }

    /// The factor, or the column at which it ends and what there is of it.
    fn factored(&self) -> Result<Factor, (usize, Vec<f64>)> {
        let size = self.size;
        let mut lower = vec![0.0; size * size];
        for row in 0..size {
            for column in 0..=row {
                let (left, right) = (&lower[row * size..], &lower[column * size..]);
                let products = left.iter().zip(right).take(column).map(|(a, b)| a * b);
                let rest = self.at(row, column) - products.sum::<f64>();
                lower[row * size + column] =
                    if row == column { rest } else { rest / lower[column * size + column] };
            }
            let pivot = lower[row * size + row];
            if pivot.is_nan() || pivot <= (SMALLEST_PIVOT * self.at(row, row)).max(0.0) {
                return Err((row, lower));
            }
            lower[row * size + row] = pivot.sqrt();
        }
        Ok(Factor { size, lower })
    }
}

impl Factor {
    /// `A⁻¹ b`.
    pub(crate) fn solve(&self, right: &[f64]) -> Vec<f64> {
        let size = self.size;
        let mut x = right.to_vec();
        for row in 0..size {
            let line = &self.lower[row * size..row * size + row];
            let known: f64 = line.iter().zip(&x).map(|(l, x)| l * x).sum();
            x[row] = (x[row] - known) / self.lower[row * size + row];
        }
        for row in (0..size).rev() {
            let known: f64 = (row + 1..size).map(|k| self.lower[k * size + row] * x[k]).sum();
            x[row] = (x[row] - known) / self.lower[row * size + row];
        }
        x
    }

    /// `A⁻¹`.
    pub(crate) fn inverse(&self) -> Symmetric {
        let mut inverse = Symmetric::zero(self.size);
        for column in 0..self.size {
            let mut unit = vec![0.0; self.size];
            unit[column] = 1.0;
            for (row, value) in self.solve(&unit).into_iter().enumerate().skip(column) {
                inverse.set(row, column, value);
            }
        }
        inverse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hilbert(size: usize) -> Symmetric {
        let mut matrix = Symmetric::zero(size);
        for row in 0..size {
            for column in row..size {
                let place = u32::try_from(row + column + 1).unwrap();
                matrix.set(row, column, 1.0 / f64::from(place));
            }
        }
        matrix
    }

    #[test]
    fn the_inverse_of_hilberts_matrix_is_known() {
        // Exact integers: -120 and 6480 among them.
        let inverse = hilbert(4).factor().unwrap().inverse();
        for (row, column, value) in [(0, 0, 16.0), (0, 1, -120.0), (2, 2, 6480.0), (3, 1, 1680.0)] {
            assert!((inverse.at(row, column) - value).abs() < 1e-8 * f64::abs(value));
        }
        let solved = hilbert(3).factor().unwrap().solve(&[11.0 / 6.0, 13.0 / 12.0, 47.0 / 60.0]);
        solved.iter().for_each(|x| assert!((x - 1.0).abs() < 1e-11, "{solved:?}"));
    }

    #[test]
    fn a_dependent_column_names_what_it_is_made_of() {
        // Columns a, b, c, a + 2c, over five rows.
        let rows =
            [[1.0, 2.0, 0.0], [1.0, 0.5, 1.0], [1.0, 3.0, 4.0], [1.0, 1.0, 1.5], [1.0, 7.0, 2.0]];
        let mut matrix = Symmetric::zero(4);
        for row in rows {
            let row = [row[0], row[1], row[2], row[0] + 2.0 * row[2]];
            for j in 0..4 {
                for k in j..4 {
                    matrix.add(j, k, row[j] * row[k]);
                }
            }
        }
        assert!(matrix.factor().is_none());
        let dependent = matrix.dependent().unwrap();
        assert_eq!(dependent, Dependent { column: 3, of: vec![0, 2], is_exact: true });
        assert!(hilbert(3).dependent().is_none());
    }

    #[test]
    fn around_is_the_product_of_three() {
        let (a, b) = (hilbert(3), hilbert(3).factor().unwrap().inverse());
        let back = a.around(&b);
        for row in 0..3 {
            for column in 0..3 {
                assert!((back.at(row, column) - a.at(row, column)).abs() < 1e-12);
            }
        }
        assert_eq!(a.bordered().size(), 4);
    }
}
