use super::*;

fn cell(combination: &str, stays: u64, cost_e4: i128, sd: f64) -> Cell {
    Cell { combination: combination.to_owned(), stays, cost_e4, sd: (stays > 1).then_some(sd) }
}
