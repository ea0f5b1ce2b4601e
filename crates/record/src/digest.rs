//! SHA-256 over rows and sets, so that a log entry can stand for more than it shows.

use ring::digest::{Context, SHA256};

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    finish(context)
}

/// SHA-256 of several fields under a label. Each field is preceded by its length, so no two
/// lists of fields have one encoding.
pub(crate) fn fields(label: &str, fields: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for field in std::iter::once(label.as_bytes()).chain(fields.iter().copied()) {
        // A length has at most 64 bits on every machine that runs this.
        let length = u64::try_from(field.len()).unwrap_or(u64::MAX);
        context.update(&length.to_le_bytes());
        context.update(field);
    }
    finish(context)
}

fn finish(context: Context) -> [u8; 32] {
    let mut hash = [0u8; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use privacy::sign::hex;

    #[test]
    fn the_hash_is_sha_256_and_fields_cannot_run_into_each_other() {
        // FIPS 180-4, "abc".
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&sha256(b"abc")), abc);
        assert_ne!(fields("row", &[b"ab", b"c"]), fields("row", &[b"a", b"bc"]));
        assert_ne!(fields("row", &[b"", b""]), fields("row", &[b""]));
        assert_ne!(fields("row", &[b"a"]), fields("set", &[b"a"]));
    }
}
