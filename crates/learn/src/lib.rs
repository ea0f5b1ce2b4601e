//! Models fitted from sums: the formula that an analyst writes, the design it stands for, the sums
//! of one step over one hospital's stays, and the steps that lead to the estimate.
//!
//! A fit is a conversation: [`fit::Fit`] says which sums it needs next ([`privacy::Step`]), somebody
//! adds them up over hospitals, and [`fit::Fit::take`] reads them. [`kernel`] is the node's part: it
//! never sees more than one batch of rows and one accumulator for each pattern of levels. Nothing
//! here does I/O. Formula: DOMAIN, F13; design: DESIGN, section 12.

pub mod boost;
pub mod card;
pub mod design;
pub mod fit;
pub mod formula;
pub mod kernel;
mod linear;
pub mod predict;
