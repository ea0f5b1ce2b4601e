//! Gradient-boosted trees from sums: which histograms the tree that grows needs next, which splits
//! they call for, and the sums of one hospital's rows.
//!
//! Each tree is fitted to the gradients of the loss at the trees before it and grows level by level:
//! one masked round for each level. Of two siblings the smaller one is asked for; the other is the
//! difference to their parent. A split is the one that lowers the loss most,
//! `G_l²/(H_l + λ) + G_r²/(H_r + λ) − G²/(H + λ)`; a leaf adds `−rate · G/(H + λ)`. Sums are integers and
//! everything else happens once, at the coordinator, so the same rows give the same trees however
//! they are spread over hospitals.
//!
//! Sources: Friedman, *Annals of Statistics* 29 (2001) 1189; Chen and Guestrin, KDD 2016, section 2;
//! categories in the order of their mean: Breiman et al., *Classification and Regression Trees* (1984),
//! theorem 4.5.

mod chunk;
mod ensemble;
mod gradient;
mod grow;
mod rows;

pub use ensemble::{Ensemble, FeatureCard, InvalidEnsemble, NodeCard, features_of, link_of};
pub use grow::{Boost, BoostError, Options, Told};
pub use rows::{Binned, FeatureBin, FeatureSums, NodeSums, Rows, Scored};
