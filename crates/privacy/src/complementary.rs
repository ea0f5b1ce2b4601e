//! Complementary suppression along one line: what is withheld must not follow from a total and from the
//! rest that is told (Hundepool et al., *Statistical Disclosure Control*, Wiley 2012, section 4.3).
//!
//! The total of a line may be known from another question at any time, so everything withheld in it is
//! taken to be known *together*. When that would be too little to be told, a cell that could be told is
//! withheld as well: the first one with which it is enough, or, when none alone is, the last.

/// Withholds some of `candidates`, smallest first, until all that is withheld is together enough to be
/// told, or there is nothing of it. `withheld` are the cells that are withheld anyway; `join` adds one to
/// what is withheld. Whether it is enough in the end.
pub(crate) fn complete<U: Clone + Default>(
    withheld: impl IntoIterator<Item = usize>,
    mut candidates: Vec<usize>,
    join: impl Fn(&mut U, usize),
    is_enough: impl Fn(&U) -> bool,
    mut withhold: impl FnMut(usize),
) -> bool {
    let mut union = U::default();
    withheld.into_iter().for_each(|cell| join(&mut union, cell));
    while !is_enough(&union) {
        let with = |cell: &usize| {
            let mut union = union.clone();
            join(&mut union, *cell);
            union
        };
        let first = candidates.iter().position(|cell| is_enough(&with(cell)));
        let Some(place) = first.or_else(|| candidates.len().checked_sub(1)) else { return false };
        let cell = candidates.remove(place);
        withhold(cell);
        union = with(&cell);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Withholds of cells with these sizes until eleven are withheld.
    fn completed(sizes: &[u32], withheld: &[usize]) -> (Vec<usize>, bool) {
        let mut more = Vec::new();
        let mut candidates: Vec<usize> =
            (0..sizes.len()).filter(|cell| !withheld.contains(cell)).collect();
        candidates.sort_by_key(|cell| sizes[*cell]);
        let enough = complete(
            withheld.iter().copied(),
            candidates,
            |sum: &mut u32, cell| *sum += sizes[cell],
            |sum| *sum == 0 || *sum >= 11,
            |cell| more.push(cell),
        );
        (more, enough)
    }

    #[test]
    fn the_first_that_makes_it_enough_is_withheld() {
        assert_eq!(completed(&[3, 40, 20, 30], &[0]), (vec![2], true));
        assert_eq!(completed(&[9, 1, 2, 30], &[0]), (vec![2], true), "1 would not be enough");
        assert_eq!(completed(&[6, 5, 20], &[0, 1]), (vec![], true));
        assert_eq!(completed(&[30, 20], &[]), (vec![], true));
    }

    #[test]
    fn the_last_goes_where_no_single_one_is_enough() {
        assert_eq!(completed(&[1, 2, 3, 4], &[0]), (vec![3, 2, 1], false));
        assert_eq!(completed(&[1, 2, 3, 4, 5], &[0]), (vec![4, 3, 1], true));
        assert_eq!(completed(&[3], &[0]), (vec![], false));
    }
}
