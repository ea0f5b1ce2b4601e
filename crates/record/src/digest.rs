//! SHA-256 over rows and sets, so that a log entry can stand for more than it shows.

use privacy::canonical::Writer;
pub(crate) use privacy::sha256;

/// SHA-256 of several fields under a label, in the one byte form that is used everywhere.
pub(crate) fn fields(label: &str, fields: &[&[u8]]) -> [u8; 32] {
    let mut writer = Writer::new(label);
    fields.iter().for_each(|field| writer.bytes(field));
    writer.hash()
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
