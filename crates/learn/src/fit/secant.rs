//! What steps have learned of the curvature, where the information is not the whole one.
//!
//! The limited-memory method of Broyden, Fletcher, Goldfarb and Shanno: Nocedal and Wright, *Numerical
//! Optimization*, 2nd ed. (2006), algorithm 7.4, with the information that was told in the place of
//! the initial matrix.

use crate::linear::Factor;

/// Steps that are remembered.
const MEMORY: usize = 20;

#[derive(Debug, Clone)]
struct Secant {
    /// Where a step led.
    step: Vec<f64>,
    /// How the negative score changed on it.
    change: Vec<f64>,
    /// One over their product.
    rho: f64,
}

/// The steps of a fit.
#[derive(Debug, Clone, Default)]
pub(super) struct Secants {
    known: Vec<Secant>,
    last: Option<(Vec<f64>, Vec<f64>)>,
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(to: &mut [f64], factor: f64, vector: &[f64]) {
    to.iter_mut().zip(vector).for_each(|(to, value)| *to += factor * value);
}

impl Secants {
    /// Takes in a point and its score.
    pub(super) fn learn(&mut self, point: Vec<f64>, score: &[f64]) {
        if let Some((before, old)) = &self.last {
            let step: Vec<f64> = point.iter().zip(before).map(|(a, b)| a - b).collect();
            let change: Vec<f64> = old.iter().zip(score).map(|(a, b)| a - b).collect();
            let along = product(&step, &change);
            // Without curvature along the step nothing is learned from it.
            if along > 1e-12 * (product(&step, &step) * product(&change, &change)).sqrt() {
                if self.known.len() >= MEMORY {
                    self.known.remove(0);
                }
                self.known.push(Secant { step, change, rho: 1.0 / along });
            }
        }
        self.last = Some((point, score.to_vec()));
    }

    /// The step from where the score is `score`.
    pub(super) fn direction(&self, factor: &Factor, score: &[f64]) -> Vec<f64> {
        let mut rest = score.to_vec();
        let mut parts = Vec::with_capacity(self.known.len());
        for secant in self.known.iter().rev() {
            let part = secant.rho * product(&secant.step, &rest);
            add(&mut rest, -part, &secant.change);
            parts.push(part);
        }
        let mut direction = factor.solve(&rest);
        for (secant, part) in self.known.iter().zip(parts.into_iter().rev()) {
            let back = secant.rho * product(&secant.change, &direction);
            add(&mut direction, part - back, &secant.step);
        }
        direction
    }
}
