//! Tables against elimination over the rationals, against bridges of graphs, and against an attacker.

use num_bigint::BigInt;
use num_traits::Zero as _;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::*;

/// Cells below eleven are small; what is withheld together must reach eleven.
struct Eleven<'a>(&'a [Cell]);

impl Rule for Eleven<'_> {
    fn is_enough(&self, cells: &[usize]) -> bool {
        cells.iter().map(|cell| self.0[*cell].cost).sum::<u64>() >= 11
    }

    fn hides(&self, _cell: usize) -> bool {
        true
    }

    fn width(&self) -> u64 {
        11
    }
}

/// The same, however closely withheld cells follow.
struct AnyWidth<'a>(Eleven<'a>);

impl Rule for AnyWidth<'_> {
    fn is_enough(&self, cells: &[usize]) -> bool {
        self.0.is_enough(cells)
    }

    fn hides(&self, _cell: usize) -> bool {
        true
    }
}

/// The cells of a table with these sizes, row after row; empty ones are not there.
fn table(sizes: &[&[u64]]) -> Vec<Cell> {
    let row = |(row, sizes): (u32, &&[u64])| {
        let cell = move |(column, cost)| Cell { place: vec![row, column], cost };
        let there = (0..).zip(sizes.iter().copied()).filter(|(_, cost)| *cost > 0);
        there.map(cell).collect::<Vec<_>>()
    };
    (0..).zip(sizes).flat_map(row).collect()
}

fn protected(cells: &[Cell]) -> Vec<bool> {
    let mut told: Vec<bool> = cells.iter().map(|cell| cell.cost >= 11).collect();
    Table::new(cells).protect(&mut told, &Eleven(cells));
    told
}

/// The withheld cells whose number nearly follows.
fn narrow(cells: &[Cell], told: &[bool]) -> Vec<usize> {
    let (mut told, mut found) = (told.to_vec(), Vec::new());
    let mut give = |cell, _: &mut [bool]| {
        found.push(cell);
        false
    };
    assert_eq!(Table::new(cells).narrow(&mut told, &Eleven(cells), &mut give), Some(false));
    found
}

/// The withheld cells that follow from the margins, by elimination over whole numbers: rows are kept as
/// integers and only ever multiplied across.
fn follow(cells: &[Cell], told: &[bool]) -> Vec<usize> {
    let unknowns: Vec<usize> = (0..cells.len()).filter(|cell| !told[*cell]).collect();
    let dimensions = cells.first().map_or(0, |cell| cell.place.len());
    let mut margins: HashMap<(usize, Vec<u32>), Vec<BigInt>> = HashMap::new();
    let mut lengths: HashMap<(usize, Vec<u32>), usize> = HashMap::new();
    for (index, cell) in cells.iter().enumerate() {
        for dimension in 0..dimensions {
            let mut rest = cell.place.clone();
            rest.remove(dimension);
            let key = (dimension, rest);
            *lengths.entry(key.clone()).or_default() += 1;
            if let Some(column) = unknowns.iter().position(|unknown| *unknown == index) {
                let zero = || vec![BigInt::zero(); unknowns.len()];
                margins.entry(key).or_insert_with(zero)[column] = 1.into();
            }
        }
    }
    // A line of one cell is that cell, and no margin that would be told.
    let mut rows: Vec<Vec<BigInt>> =
        margins.into_iter().filter(|(key, _)| lengths[key] > 1).map(|(_, row)| row).collect();
    let mut done = 0;
    for column in 0..unknowns.len() {
        let Some(pivot) = (done..rows.len()).find(|row| !rows[*row][column].is_zero()) else {
            continue;
        };
        rows.swap(done, pivot);
        let head = rows[done].clone();
        for (index, row) in rows.iter_mut().enumerate() {
            let factor = row[column].clone();
            if index != done && !factor.is_zero() {
                for (entry, head_entry) in row.iter_mut().zip(&head) {
                    *entry = &*entry * &head[column] - head_entry * &factor;
                }
            }
        }
        done += 1;
    }
    let alone = |row: &Vec<BigInt>| row.iter().filter(|entry| !entry.is_zero()).count() == 1;
    let single = rows.iter().filter(|row| alone(row));
    let single = single.filter_map(|row| row.iter().position(|entry| !entry.is_zero()));
    single.map(|column| unknowns[column]).collect()
}

#[test]
fn a_small_cell_takes_a_rectangle_with_it() {
    let cells = table(&[&[3, 40, 50], &[20, 30, 60], &[70, 80, 90]]);
    let told = protected(&cells);
    let withheld: Vec<u64> =
        cells.iter().zip(&told).filter(|(_, told)| !**told).map(|(cell, _)| cell.cost).collect();
    assert_eq!(withheld, [3, 40, 20, 30], "the cheapest of its row, of its column, and the corner");
    assert!(follow(&cells, &told).is_empty());
}

#[test]
fn what_nearly_follows_is_given_company() {
    // No withheld cell follows, and every margin hides eleven; but along the circle nothing can move by more than
    // one, so each is told within two.
    let cells = table(&[&[1, 10, 90], &[80, 10, 1], &[10, 70, 10]]);
    let told: Vec<bool> = cells.iter().map(|cell| cell.cost >= 11).collect();
    assert!(follow(&cells, &told).is_empty());
    let narrow = narrow(&cells, &told);
    assert_eq!(narrow.len(), 6);
    let left = cells.iter().zip(protected(&cells)).filter(|(_, told)| *told);
    assert_eq!(left.map(|(cell, _)| cell.cost).collect::<Vec<_>>(), [90, 70], "the 80 is enough");
}

#[test]
fn two_small_cells_of_a_line_are_not_enough_together() {
    // 3 and 4 are told as a sum of seven by the row's margin.
    let cells = table(&[&[3, 4, 50], &[20, 30, 60]]);
    let told = protected(&cells);
    assert!(told.iter().all(|told| !told), "with 50 the row is withheld, and so each column");
    let cells = table(&[&[6, 7, 50], &[20, 30, 60]]);
    assert_eq!(protected(&cells), [false, false, true, false, false, true]);
}

#[test]
fn a_bridge_between_two_circles_is_found() {
    // Two rectangles of withheld cells, joined by one: each line has two or more, and yet the one follows.
    let mut cells = Vec::new();
    let rectangles = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (2, 3), (3, 2), (3, 3)];
    for (row, column) in rectangles.into_iter().chain([(0, 2)]) {
        cells.push(Cell { place: vec![row, column], cost: 6 });
    }
    for place in [(1, 3), (2, 0), (3, 1), (0, 3)] {
        cells.push(Cell { place: vec![place.0, place.1], cost: 100 });
    }
    let small: Vec<bool> = cells.iter().map(|cell| cell.cost >= 11).collect();
    assert_eq!(follow(&cells, &small), [8]);
    assert_eq!(Table::new(&cells).exposed(&small), Some(vec![8]));
    let told = protected(&cells);
    assert!(follow(&cells, &told).is_empty());
    assert!(told.iter().filter(|told| **told).count() >= 1, "not everything is withheld");
}

#[test]
fn parts_of_one_code_are_no_margin_of_it() {
    // MDC and DRG: each DRG is in one MDC, so the sum over MDCs is the cell itself.
    let cell = |place: [u32; 2], cost| Cell { place: place.to_vec(), cost };
    let cells =
        [cell([0, 0], 5), cell([0, 1], 40), cell([0, 2], 50), cell([1, 3], 60), cell([1, 4], 70)];
    assert_eq!(protected(&cells), [false, false, true, true, true]);
}

#[test]
fn what_is_known_hides_nobody() {
    struct Known<'a>(Eleven<'a>, usize);
    impl Rule for Known<'_> {
        fn is_enough(&self, cells: &[usize]) -> bool {
            self.0.is_enough(cells)
        }
        fn hides(&self, cell: usize) -> bool {
            cell != self.1
        }
    }
    let cells = table(&[&[3, 40, 50], &[20, 30, 60], &[70, 80, 90]]);
    let mut told: Vec<bool> = cells.iter().map(|cell| cell.cost >= 11).collect();
    Table::new(&cells).protect(&mut told, &Known(Eleven(&cells), 1));
    assert!(told[1], "the 40 was told before");
    assert_eq!(told.iter().filter(|told| !**told).count(), 4);
    assert!(!told[2], "the 50 hides the 3 in its row");
}

#[test]
fn a_table_that_is_too_large_to_be_judged_is_not_told() {
    let side = 1_500;
    let diagonal =
        |row: u32| [row, (row + 1) % side].map(|column| Cell { place: vec![row, column], cost: 6 });
    let cells: Vec<Cell> = (0..side).flat_map(diagonal).collect();
    let mut told = vec![false; cells.len()];
    told[0] = true;
    Table::new(&cells).protect(&mut told, &Eleven(&cells));
    assert!(told.iter().all(|told| !told));
}

#[test]
fn numbers_are_reduced_and_inverted() {
    for number in [1, 2, 3, PRIME - 1, 1 << 30, 123_456_789] {
        assert_eq!(reduce(number * inverse(number)), 1, "{number}");
        assert_eq!(reduce(number), number % PRIME);
    }
    let largest = (PRIME - 1) * (PRIME - 1) + PRIME - 1;
    assert_eq!(reduce(largest), largest % PRIME);
    assert_eq!((reduce(PRIME), reduce(2 * PRIME), reduce(0)), (0, 0, 0));
}

/// A random table: many small cells, some empty, some large.
fn random(random: &mut StdRng, sides: &[u32]) -> Vec<Cell> {
    let mut cells = Vec::new();
    let all: usize = sides.iter().map(|side| *side as usize).product();
    let empty = random.random_range(0.0..0.6);
    let small = random.random_range(0.0..0.5);
    for number in 0..all {
        let mut rest = number;
        let place = sides.iter().map(|side| {
            let level = rest % *side as usize;
            rest /= *side as usize;
            u32::try_from(level).unwrap()
        });
        let place: Vec<u32> = place.collect();
        let roll: f64 = random.random();
        if roll >= empty {
            let is_small = random.random_bool(small);
            let cost = random.random_range(if is_small { 1..11 } else { 11..2_000 });
            cells.push(Cell { place, cost });
        }
    }
    cells
}

/// All cells that share lines with this one, or with one that does, and so on.
fn connected(table: &Table<'_>, cell: usize) -> BTreeSet<usize> {
    let (mut all, mut next) = (BTreeSet::new(), vec![cell]);
    while let Some(cell) = next.pop() {
        if all.insert(cell) {
            next.extend(table.lines_of[cell].iter().flat_map(|line| &table.lines[*line]));
        }
    }
    all
}

/// No withheld cell follows, no line tells the sum of less than eleven, and only what is too small, or
/// hides such, is withheld. How many were withheld beside the small ones, of how many.
fn check(cells: &[Cell], follow: impl Fn(&[Cell], &[bool]) -> Vec<usize>) -> (usize, usize) {
    let told = protected(cells);
    let table = Table::new(cells);
    // What follows though nothing is told of all that hangs together with it follows from margins alone.
    let mut following = follow(cells, &told);
    following.retain(|cell| connected(&table, *cell).iter().any(|cell| told[*cell]));
    assert!(following.is_empty(), "{following:?}");
    for line in 0..table.lines.len() {
        let withheld = table.withheld(line, &told);
        let sum: u64 = withheld.iter().map(|cell| cells[*cell].cost).sum();
        let is_whole = withheld.len() == table.lines[line].len();
        assert!(withheld.is_empty() || is_whole || (sum >= 11 && withheld.len() > 1));
    }
    assert!(cells.iter().zip(&told).all(|(cell, told)| !told || cell.cost >= 11));
    if cells.iter().all(|cell| cell.cost >= 11) {
        assert!(told.iter().all(|told| *told), "nothing hides nobody");
    }
    let more = cells.iter().zip(&told).filter(|(cell, told)| cell.cost >= 11 && !**told).count();
    (more, cells.len())
}

#[test]
fn random_tables_have_no_cell_that_follows() {
    let mut rng = StdRng::seed_from_u64(20_261_122);
    for turn in 0..120 {
        let sides: Vec<u32> = match turn % 3 {
            0 => vec![rng.random_range(2..9), rng.random_range(2..9)],
            1 => vec![rng.random_range(2..5), rng.random_range(2..5), rng.random_range(2..4)],
            _ => vec![2, 3, 2, 2],
        };
        check(&random(&mut rng, &sides), follow);
    }
}

/// The withheld cells of a table with two dimensions that follow: the bridges of the graph whose nodes are
/// rows and columns and whose edges are withheld cells (Gusfield, *SIAM J. Comput.* 17 (1988) 552). A line of
/// one cell is no node, but as an end its own.
fn bridges(cells: &[Cell], told: &[bool]) -> Vec<usize> {
    let table = Table::new(cells);
    let mut ends: Vec<[usize; 2]> = Vec::new();
    let mut nodes = table.lines.len();
    let free = nodes;
    nodes += 1;
    for lines in &table.lines_of {
        // All single lines are one node: what goes in there is told by nobody.
        ends.push([lines.first().copied().unwrap_or(free), lines.get(1).copied().unwrap_or(free)]);
    }
    let mut edges_of = vec![Vec::new(); nodes];
    for (edge, ends) in ends.iter().enumerate().filter(|(edge, _)| !told[*edge]) {
        ends.iter().for_each(|node| edges_of[*node].push(edge));
    }
    // An edge is a bridge when without it its ends are apart: low points of a depth-first search, without
    // recursion.
    let (mut order, mut low) = (vec![usize::MAX; nodes], vec![usize::MAX; nodes]);
    let (mut found, mut time) = (Vec::new(), 0);
    for root in 0..nodes {
        if order[root] != usize::MAX {
            continue;
        }
        let mut stack = vec![(root, usize::MAX, 0)];
        (order[root], low[root]) = (time, time);
        time += 1;
        while let Some((node, by, next)) = stack.pop() {
            let Some(&edge) = edges_of[node].get(next) else {
                let Some((parent, ..)) = stack.last() else { continue };
                low[*parent] = low[*parent].min(low[node]);
                found.extend((low[node] > order[*parent]).then_some(by));
                continue;
            };
            stack.push((node, by, next + 1));
            let [a, b] = ends[edge];
            let other = if a == node { b } else { a };
            if edge == by {
                continue;
            }
            if order[other] == usize::MAX {
                (order[other], low[other]) = (time, time);
                time += 1;
                stack.push((other, edge, 0));
            } else {
                low[node] = low[node].min(order[other]);
            }
        }
    }
    found
}

#[test]
fn elimination_and_bridges_agree() {
    let mut rng = StdRng::seed_from_u64(7);
    for _ in 0..300 {
        let sides = [rng.random_range(2..12), rng.random_range(2..12)];
        let cells = random(&mut rng, &sides);
        let told: Vec<bool> = cells.iter().map(|_| rng.random_bool(0.6)).collect();
        let mut expected = bridges(&cells, &told);
        expected.sort_unstable();
        // A cell that has no line at all is in no table.
        expected.retain(|cell| !Table::new(&cells).lines_of[*cell].is_empty());
        assert_eq!(Table::new(&cells).exposed(&told), Some(expected));
    }
}

/// Withheld cells of a table with two dimensions that must lie in an interval narrower than eleven, by another way
/// than a linear program: a number grows by what can flow from its row to its column when others become smaller
/// and larger in turn, and shrinks by what can flow back (Cox, *JASA* 90 (1995) 1453).
fn narrow_by_flow(cells: &[Cell], told: &[bool]) -> Vec<usize> {
    const MOST: u64 = 1_000;
    let table = Table::new(cells);
    let free = table.lines.len();
    let enough: Vec<bool> = table.lines.iter().map(|line| Eleven(cells).is_enough(line)).collect();
    // The line of a cell along a dimension, where that has a margin.
    let end = |cell: usize, dimension: usize| {
        let mut own = table.lines_of[cell].iter().copied().filter(|line| enough[*line]);
        let along = |line: &usize| {
            let other = table.lines[*line].iter().find(|other| **other != cell);
            other.is_some_and(|other| {
                cells[*other].place[1 - dimension] == cells[cell].place[1 - dimension]
            })
        };
        own.find(along).unwrap_or(free)
    };
    let unknowns: Vec<usize> = (0..cells.len()).filter(|cell| !told[*cell]).collect();
    let flow = |of: usize, from: usize, to: usize| {
        let mut room = vec![vec![0; free + 1]; free + 1];
        for cell in unknowns.iter().copied().filter(|cell| *cell != of) {
            let (row, column) = (end(cell, 1), end(cell, 0));
            room[row][column] += cells[cell].cost;
            room[column][row] += MOST;
        }
        let mut flown = 0;
        while flown < MOST {
            let mut by = vec![usize::MAX; free + 1];
            let mut next = vec![from];
            while let Some(node) = next.pop() {
                let is_new = |other: &usize| by[*other] == usize::MAX && *other != from;
                let others: Vec<usize> =
                    (0..=free).filter(|other| room[node][*other] > 0).filter(is_new).collect();
                others.iter().for_each(|other| by[*other] = node);
                next.extend(others);
            }
            if by[to] == usize::MAX {
                break;
            }
            let path = std::iter::successors(Some(to), |node| Some(by[*node]));
            let path: Vec<usize> = path.take_while(|node| *node != from).collect();
            let least = path.iter().map(|node| room[by[*node]][*node]).min().unwrap();
            for node in path {
                room[by[node]][node] -= least;
                room[node][by[node]] += least;
            }
            flown += least;
        }
        flown
    };
    let is_narrow = |cell: &usize| {
        let (row, column) = (end(*cell, 1), end(*cell, 0));
        let is_free = row == column;
        let width = flow(*cell, row, column) + flow(*cell, column, row).min(cells[*cell].cost);
        !is_free && width < 11
    };
    unknowns.iter().copied().filter(is_narrow).collect()
}

#[test]
fn intervals_are_those_of_flows_and_small_tables_have_wide_ones() {
    let mut rng = StdRng::seed_from_u64(1_453);
    let (mut narrow_before, mut more, mut without, mut all) = (0, 0, 0, 0);
    let hidden = |cells: &[Cell], told: &[bool]| {
        let large = cells.iter().zip(told).filter(|(cell, told)| cell.cost >= 11 && !**told);
        large.count()
    };
    for _ in 0..150 {
        let sides = [rng.random_range(2..8), rng.random_range(2..8)];
        let cells = random(&mut rng, &sides);
        let table = Table::new(&cells);
        // What is withheld by chance, and what is withheld in the end.
        let by_chance: Vec<bool> = cells.iter().map(|_| rng.random_bool(0.5)).collect();
        let in_the_end = protected(&cells);
        let mut again: Vec<bool> = cells.iter().map(|cell| cell.cost >= 11).collect();
        table.protect(&mut again, &Eleven(&cells));
        assert!(again == in_the_end && table.programs.left() > 0, "all programs were used");
        for told in [&by_chance, &in_the_end] {
            assert_eq!(narrow(&cells, told), narrow_by_flow(&cells, told), "{cells:?} {told:?}");
        }
        narrow_before += narrow(&cells, &by_chance).len();
        let mut narrow = narrow(&cells, &in_the_end);
        narrow.retain(|cell| connected(&table, *cell).iter().any(|cell| in_the_end[*cell]));
        assert!(narrow.is_empty(), "{narrow:?} of {cells:?}");
        let mut told: Vec<bool> = cells.iter().map(|cell| cell.cost >= 11).collect();
        table.protect(&mut told, &AnyWidth(Eleven(&cells)));
        without += hidden(&cells, &told);
        (more, all) = (more + hidden(&cells, &in_the_end), all + cells.len());
    }
    println!(
        "{more} of {all} cells were withheld beside the small ones, {without} if widths did not matter"
    );
    assert!(without <= more && more < 2 * without, "{without} {more}");
    assert!(narrow_before > 100, "chance leaves narrow ones: {narrow_before}");
}

/// Tables of up to 300 by 60: a thousand with optimisation, a few without.
#[test]
fn large_tables_have_no_cell_that_follows() {
    let mut rng = StdRng::seed_from_u64(1_000);
    let (mut more, mut all) = (0, 0);
    for turn in 0..if cfg!(debug_assertions) { 15 } else { 1_000 } {
        let sides = match turn {
            0 => [300, 60],
            _ => [rng.random_range(2..=300), rng.random_range(2..=60)],
        };
        let (hidden, cells) = check(&random(&mut rng, &sides), bridges);
        (more, all) = (more + hidden, all + cells);
    }
    println!("{more} of {all} cells were withheld beside the small ones");
    assert!(more * 10 < all, "{more} of {all}");
}

proptest! {
    #[test]
    fn every_table_is_protected(sizes in prop::collection::vec(0u64..40, 12)) {
        let rows: Vec<&[u64]> = sizes.chunks(4).collect();
        check(&table(&rows), follow);
    }
}
