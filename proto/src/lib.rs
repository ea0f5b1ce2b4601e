//! The wire: generated types, and the only conversions between them and the domain.
//!
//! Generated types are used for requests that a service receives and answers that it sends; they
//! are parsed once, here. A hospital's cells can be encoded from [`privacy::Released`] only, and
//! decode to [`privacy::Received`], whose shape has been checked against the request.

mod chunks;
mod growth;
mod noise;
mod project;
mod request;
mod round;
mod step;
mod veil;

/// Messages as bytes, for those who have to hash, keep or compare what travels.
pub use prost::Message;

pub use chunks::{Assembler, WireError, chunks, encode_noise, from_record, to_record};
pub use noise::{decode_noise_policy, encode_noise_policy};
pub use project::{decode_project, encode_project};
pub use request::{decode_claim, decode_request, encode_claim, encode_request};
pub use round::{
    OpenedAssembler, ReceivedOffer, UploadProof, add_cells, cells_part, cells_parts, decode_offer,
    decode_sid, decode_signature, decode_terms, decode_upload, encode_checkpoint, encode_offer,
    encode_opened, encode_terms, encode_upload,
};
pub use veil::{
    decode_constants, decode_extents, decode_veiled, encode_constants, encode_extents,
    encode_veiled,
};

/// Largest message of either service, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// Target size of one release chunk, in bytes.
pub const CHUNK_BYTES: usize = 1 << 20;

/// Generated types of `consilium.v1`.
pub mod v1 {
    #![allow(clippy::all, clippy::restriction, clippy::pedantic, reason = "generated code")]
    #![allow(missing_debug_implementations, unreachable_pub, reason = "generated code")]
    tonic::include_proto!("consilium.v1");
}
